"""The frame of every console page: sign-in, role table, audit, headers; without it each page would guard itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db import OperationalError, models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.shortcuts import render as django_render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from psycopg.errors import QueryCanceled

from backend.apps.appointments import permissions as appointment_permissions
from backend.apps.core import audit, closed_values
from backend.apps.core.admin import REFUSALS, sentence
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.core.permissions import ALERT, Table, may
from backend.apps.core.problems import CROSSED
from backend.apps.insurance import permissions as insurance_permissions
from backend.apps.interop import permissions as interop_permissions
from backend.apps.laboratory import permissions as lab_permissions
from backend.apps.messaging import permissions as messaging_permissions
from backend.apps.patients import permissions as patient_permissions
from backend.apps.users.models import User

View = Callable[..., HttpResponse]

# Nothing inline, nothing from elsewhere, in no frame: what a message holds stays text whatever it looks like.
TICK_FIRST = "Tick rows first."


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the menu, shown to those whose role may do `action` of `table`, in the part of it named `group`."""

    title: str
    url_name: str
    table: Table
    action: str = "list"
    group: str = "Operations"


@dataclass(frozen=True, slots=True)
class Group:
    """One part of the menu with its sections, each with its address. is_here: whether one of them is being shown."""

    title: str
    sections: Sequence[tuple[Section, str]]
    is_here: bool

    @property
    def address(self) -> str:
        return self.sections[0][1]


SECTIONS = (
    Section("Reminders", "console:reminders", appointment_permissions.REMINDER, group="Messages"),
    Section("Replies", "console:replies", messaging_permissions.INBOUND_TEXT, group="Messages"),
    Section("Tasks", "console:tasks", messaging_permissions.STAFF_TASK, group="Messages"),
    Section("Lab inbox", "console:lab-inbox", lab_permissions.INBOUND_MESSAGE, group="Labs"),
    Section("Critical results", "console:lab-critical", lab_permissions.CRITICAL_RESULT, group="Labs"),
    Section("Replays", "console:lab-replays", lab_permissions.LAB_REPLAY, group="Labs"),
    Section("Claims", "console:claims", insurance_permissions.CLAIM, "submit", group="Claims"),
    Section("Credentials", "console:credentials", interop_permissions.CREDENTIALS, group="Staff"),
    Section("Alerts", "console:alerts", ALERT),
    Section("Work", "console:work", interop_permissions.WORK),
    Section("Beat", "console:beat", interop_permissions.BEAT),
    Section("Books", "console:reconcile", interop_permissions.RECONCILE),
    Section("Exports", "console:exports", interop_permissions.EXPORT),
    Section("Retention", "console:retention", interop_permissions.RETENTION),
    Section("Break-glass", "console:break-glass", patient_permissions.EMERGENCY_ACCESS),
    Section("Audit", "console:audit", interop_permissions.AUDIT),
)


@dataclass(frozen=True, slots=True)
class Guard:
    """What a page asks of whoever comes: `action` of `table`, by one of `methods`."""

    table: Table
    action: str
    methods: tuple[str, ...]


def page(table: Table, action: str, *, methods: Sequence[str] = ("GET", "HEAD")) -> Callable[[View], View]:
    """Let staff whose role may do `action` of `table` see the page; others are sent to sign in, or refused in a page.

    Moments are shown in the clinic's own zone. Every answer forbids caches, referrers and scripts from elsewhere.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            refusal = _refusal(request, table, action, methods)
            return sealed(refusal or _shown(view, request, *args, **kwargs))

        guarded.guard = Guard(table, action, tuple(methods))  # type: ignore[attr-defined]  # for who lists all pages
        return guarded

    return guard


def _refusal(request: HttpRequest, table: Table, action: str, methods: Sequence[str]) -> HttpResponse | None:
    """Return what whoever asks is told instead of the page; None when the page is theirs to see."""
    if not getattr(request.user, "is_staff", False):
        if request.user.is_authenticated:
            _note_refusal(request, 403)
        if "HX-Request" in request.headers:
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})  # the sign-in is no part of a page
        wanted = request.get_full_path() if request.method == "GET" else reverse("console:index")
        return redirect_to_login(wanted, reverse("admin:login"))
    if request.method not in methods:
        _note_refusal(request, 405)
        return HttpResponseNotAllowed(methods)
    if any("\x00" in text for form in (request.GET, request.POST) for _, texts in form.lists() for text in texts):
        return refused(request, 400, "This address or form holds a character that is not allowed.")
    if not may(request.user, action, table):
        return refused(request, 403, "Your role may not see this page.")
    return None


def _shown(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    try:
        with timezone.override(Clinic.current().zone):
            return view(request, *args, **kwargs)
    except Http404:
        return refused(request, 404, "There is no such page, or it is not yours to see.")
    except CannotOpen as closed:
        closed_values.tell(closed)
        return refused(request, 500, closed_values.refusal(closed))


def sealed(response: HttpResponse) -> HttpResponse:
    """Keep an answer of the console out of caches; what browsers may do with it is said by its address (`headers`)."""
    patch_cache_control(response, no_store=True, private=True)
    return response


def refused(request: HttpRequest, status: int, why: str) -> HttpResponse:
    """Answer with a page that says why not, and write the refusal down."""
    _note_refusal(request, status)
    return render(request, "interop/refused.html", {"why": why, "title": "Not here"}, status=status)


def _note_refusal(request: HttpRequest, status: int) -> None:
    name = getattr(request.resolver_match, "url_name", "") or "page"
    audit.record(request, "console.view", name, outcome=AuditLog.Outcome.REFUSED, detail={"status": status})


def render(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Return a whole page with the menu of what this person may see."""
    shown = [(each, reverse(each.url_name)) for each in SECTIONS if may(request.user, each.action, each.table)]
    here = max((address for _, address in shown if request.path.startswith(address)), key=len, default="")
    menu = {"menu": _groups(shown, here), "here": here}
    return django_render(request, template, {**context, **menu}, status=status)


def _groups(shown: Sequence[tuple[Section, str]], here: str) -> list[Group]:
    names = dict.fromkeys(each.group for each, _ in shown)
    mine = {name: [(each, address) for each, address in shown if each.group == name] for name in names}
    return [Group(name, found, here in [address for _, address in found]) for name, found in mine.items()]


def person(request: HttpRequest) -> User:
    """Return who is signed in: a page is shown to nobody else."""
    return cast("User", request.user)


def note(request: HttpRequest, action: str, row: models.Model, **detail: Any) -> None:
    """Write down what this person did to a row, or that they looked at it."""
    audit.log_phi_access(request.user, f"console.{action}", row, request, detail)


def attempt(
    request: HttpRequest, action: str, resource: str, act: Callable[[], str | tuple[str, str]], *, back: str
) -> HttpResponse:
    """Run a change in one transaction, tell how it ended, and lead to `back`.

    act: does it, writes its own audit row with `note`, and returns the outcome as a sentence, with another address to
    lead to where there is one. A refusal is told as a sentence and leaves an audit row about `resource` too.
    """
    try:
        with transaction.atomic():
            outcome = act()
    except (*REFUSALS, OperationalError) as refusal:
        if isinstance(refusal, OperationalError) and not isinstance(refusal.__cause__, (*CROSSED, QueryCanceled)):
            raise
        audit.record(request, f"console.{action}", resource, outcome=AuditLog.Outcome.REFUSED)
        messages.error(request, sentence(refusal))
    else:
        told, back = outcome if isinstance(outcome, tuple) else (outcome, back)
        messages.success(request, told)
    return redirect(back)
