"""The frame of the pages before and around a sign-in: caches, limits, audit; else each would guard itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.csrf import csrf_protect
from psycopg.errors import QueryCanceled

from backend.apps.core import audit
from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog
from backend.apps.core.problems import CROSSED
from backend.apps.users import throttle
from backend.apps.users.models import User

View = Callable[..., HttpResponse]
SLOW_DOWN = "There were too many tries from here. Wait a moment and try again."
BUSY = "This took too long and was ended. Go back and try again."


def page(view: View) -> View:
    """Take forms of ours only, let no cache keep the page, and write down what took the database too long."""

    @wraps(view)
    def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in {"GET", "HEAD", "POST"}:
            return sealed(HttpResponseNotAllowed(["GET", "HEAD", "POST"]))
        if any("\x00" in text for form in (request.GET, request.POST) for _, texts in form.lists() for text in texts):
            return sealed(HttpResponse("A character is not allowed.", status=400, content_type="text/plain"))
        try:
            return sealed(view(request, *args, **kwargs))
        except OperationalError as error:
            if not isinstance(error.__cause__, (*CROSSED, QueryCanceled)):
                raise
            note(request, getattr(request.resolver_match, "url_name", None) or "page", None, "busy")
            return sealed(HttpResponse(BUSY, status=503, content_type="text/plain"))

    return csrf_protect(framed)


def own(view: View) -> View:
    """Show a page to whoever is signed in at the pages; others sign in first and come back."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not isinstance(request.user, User):
            return redirect_to_login(request.path, reverse("sign-in"))
        return view(request, *args, **kwargs)

    return page(guarded)


def sealed(answer: HttpResponse) -> HttpResponse:
    """Forbid every cache to keep the page, the browser's own too."""
    patch_cache_control(answer, no_store=True, private=True)
    return answer


def show(
    request: HttpRequest, name: str, title: str, *, wrong: str = "", status: int = 200, **context: Any
) -> HttpResponse:
    """Return a page; `wrong` says at its top what was refused."""
    told = {"title": title, "wrong": wrong, "next": request.POST.get("next", request.GET.get("next", "")), **context}
    return render(request, f"users/{name}.html", told, status=status)


def too_many(request: HttpRequest) -> int | None:
    """Count a try from this address; return the seconds to wait when there were too many."""
    return throttle.try_to_sign_in(client_of(request))


def forgive(request: HttpRequest) -> None:
    throttle.forgive_sign_in(client_of(request))


def go_on(request: HttpRequest, name: str) -> HttpResponseRedirect:
    """Lead to the next step of the sign-in, which knows where it leads in the end."""
    there = request.POST.get("next", request.GET.get("next", ""))
    return HttpResponseRedirect(reverse(name) + (f"?{urlencode({'next': there})}" if there else ""))


def wanted(request: HttpRequest) -> str:
    """Return where the sign-in leads: a place of ours that was asked for, or the admin."""
    there = request.POST.get("next", request.GET.get("next", ""))
    ours = url_has_allowed_host_and_scheme(there, {request.get_host()}, require_https=request.is_secure())
    return there if ours else resolve_url(settings.LOGIN_REDIRECT_URL)


def note(
    request: HttpRequest,
    action: str,
    user: User | None,
    refusal: str = "",
    *,
    whose: User | None = None,
    **detail: Any,
) -> None:
    """Write down what somebody did at these pages, or was refused, and `whose` login a stranger wanted."""
    about = user or whose
    audit.record(
        request,
        action,
        "user",
        str(about.pk) if about else "",
        outcome=AuditLog.Outcome.REFUSED if refusal else AuditLog.Outcome.ALLOWED,
        detail={"reason": refusal} if refusal else detail,
        user=user,
    )


def person(request: HttpRequest) -> User:
    """Return who is signed in: the page is shown to nobody else."""
    return cast("User", request.user)
