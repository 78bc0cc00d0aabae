"""What is typed into the search of a list of the admin; without this names would stand in addresses, and so in logs.

The form posts the words. They come back in the address of the list sealed, bound to who typed them and to that list:
pages, filters, ways back and the buttons of the browser go on as Django has them.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR, SEARCH_VAR
from django.db.models import Model
from django.http import HttpRequest, HttpResponseRedirect
from django.utils import timezone
from unfold.views import ChangeList

from backend.apps.core import keyring

LONGEST = 200  # characters
STEP = 32  # bytes: a token is as long for a short name as for a long one
TIME_BYTES = 6
OVER = "This search is over, or its address was not made here. Type it again."


class Over(Exception):
    """What stands in an address for a search was not made here for this person and this list, or is too old."""


class Typed(forms.Form):
    """The words as they are posted."""

    q = forms.CharField(required=False, max_length=LONGEST)


class Told(forms.Form):
    """The words as they stand in an address; in place of Django's own form, which believes them.

    Raises:
        Over: on `is_valid`.
    """

    q = forms.Field(required=False)

    def __init__(self, *args: Any, place: bytes, **options: Any) -> None:
        super().__init__(*args, **options)
        self.place = place

    def clean_q(self) -> str:
        token = self.cleaned_data[SEARCH_VAR]
        return opened(token, self.place) if token else ""


class SearchedList(ChangeList):
    """A list of rows whose search stands sealed in its address."""

    def __init__(self, request: HttpRequest, model: type[Model], *args: Any, **options: Any) -> None:
        self.search_form_class = partial(Told, place=place_of(request, model))
        super().__init__(request, model, *args, **options)


def is_typed(request: HttpRequest) -> bool:
    """Return whether this is the form of a search, and no action."""
    return request.method == "POST" and SEARCH_VAR in request.POST


def begin(request: HttpRequest, model: type[Model]) -> HttpResponseRedirect:
    """Send who typed a search to the list it leads to; who typed what is no text back, with the reason."""
    form = Typed(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors[SEARCH_VAR])))
        return HttpResponseRedirect(request.get_full_path(), status=303)
    words = form.cleaned_data[SEARCH_VAR]
    return _list(request, **({SEARCH_VAR: sealed(words, place_of(request, model))} if words else {}))


def end(request: HttpRequest) -> HttpResponseRedirect:
    """Send who came with a search that is over to the list without it, and say so. Nothing was done."""
    messages.warning(request, OVER)
    return _list(request)


def sealed(words: str, place: bytes) -> str:
    """Return what stands in an address for these words: URL-safe, and another text each time."""
    plain = int(timezone.now().timestamp()).to_bytes(TIME_BYTES, "big") + words.encode()
    return urlsafe_b64encode(keyring.seal(plain + bytes(-len(plain) % STEP), place)).rstrip(b"=").decode()


def opened(token: str, place: bytes) -> str:
    """Return the words that `sealed` was given.

    Raises:
        Over: not of this place, changed, or older than a sign-in lasts.
    """
    try:
        plain = keyring.unseal(urlsafe_b64decode(token + "=" * (-len(token) % 4)), place)
    except ValueError:
        raise Over from None
    made, words = plain[:TIME_BYTES], plain[TIME_BYTES:]
    if int(timezone.now().timestamp()) - int.from_bytes(made, "big") > settings.SESSION_COOKIE_AGE:
        raise Over
    return words.rstrip(b"\0").decode()


def place_of(request: HttpRequest, model: type[Model]) -> bytes:
    return f"search of {model._meta.label_lower} by {request.user.pk}".encode()


def _list(request: HttpRequest, **more: str) -> HttpResponseRedirect:
    """Return the way to the first page of this list as it is cut and ordered now."""
    query = request.GET.copy()
    for name in (SEARCH_VAR, PAGE_VAR, ERROR_FLAG):
        query.pop(name, None)
    query.update(more)
    return HttpResponseRedirect(f"{request.path}?{query.urlencode()}" if query else request.path, status=303)
