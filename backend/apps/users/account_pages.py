"""What somebody who is signed in may do with the own sign-in: password, second step, recovery codes, other sign-ins."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.users import second_step, services
from backend.apps.users.authentication import session_of
from backend.apps.users.models import LoginSession
from backend.apps.users.password_rules import typed
from backend.apps.users.sign_in_frame import SLOW_DOWN, forgive, note, own, person, show, too_many
from backend.apps.users.sign_in_pages import SET_UP, confirmed

ACCOUNT, PASSWORD, CODES = "Your sign-in", "Change the password", "Recovery codes"
BEGIN_ANEW = "Too much time went by, or the page was left. Begin anew."
NOT_ALIKE = "The two new passwords are not alike."


@own
def account(request: HttpRequest) -> HttpResponse:
    """Show how the own sign-in stands, and where else somebody is signed in as this person."""
    user = person(request)
    if request.method == "POST":
        return _ended(request, request.POST.get("session", ""))
    note(request, "account", user)
    second_step.forget(_session(request))
    rows = services.own_sessions(user, session_of(request))
    with timezone.override(Clinic.current().zone):
        return show(request, "account", ACCOUNT, standing=second_step.standing(user), sessions=rows)


@own
def password(request: HttpRequest) -> HttpResponse:
    """Change the own password; every other sign-in ends, and a second step stays as it is."""
    if request.method != "POST":
        return show(request, "password", PASSWORD)
    user, new = person(request), request.POST.get("new", "")
    try:
        _in_bounds(request)
        if new != request.POST.get("again", ""):
            raise ValidationError(NOT_ALIKE)
        services.change_password(
            user, current=typed(request.POST.get("current", "")), new=new, keep=session_of(request)
        )
    except (ValidationError, DomainError) as refusal:
        return _refused(request, "password", PASSWORD, "change_password", refusal)
    forgive(request)
    update_session_auth_hash(request, user)
    note(request, "change_password", user)
    messages.success(request, "The password is changed.")
    return redirect("account")


@own
def device(request: HttpRequest) -> HttpResponse:
    """Set up a second step, or put another device in its place: password first, and the code of the old one."""
    session = _session(request)
    is_set_up = second_step.is_set_up(session.user)
    if request.method != "POST":
        second_step.forget(session)
        return show(request, "device", SET_UP, is_set_up=is_set_up)
    if request.POST.get("act") == "confirm":
        waits = second_step.shown_by(session, request.POST.get("ticket", ""))
        if waits is None:
            note(request, "mfa.confirm", session.user, "late")
            return show(request, "device", SET_UP, is_set_up=is_set_up, wrong=BEGIN_ANEW, status=401)
        shown, wrong = confirmed(request, session), str(second_step.CodeRefused())
        return shown or show(request, "second_step", SET_UP, device=waits, wrong=wrong, status=401)
    try:
        _in_bounds(request)
        made = services.enrol(
            session, password=typed(request.POST.get("password", "")), code=request.POST.get("code", "")[:40]
        )
    except (ValidationError, DomainError) as refusal:
        return _refused(request, "device", SET_UP, "mfa.enrol", refusal, is_set_up=is_set_up)
    forgive(request)
    note(request, "mfa.enrol", session.user)
    return show(request, "second_step", SET_UP, device=made)


@own
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Make ten new recovery codes for the one who has a fresh code."""
    if request.method != "POST":
        return show(request, "new_codes", CODES)
    try:
        _in_bounds(request)
        codes = services.new_recovery_codes(
            person(request), request.POST.get("code", "")[:40], session=session_of(request)
        )
    except (ValidationError, DomainError) as refusal:
        return _refused(request, "new_codes", CODES, "mfa.recovery_codes", refusal)
    forgive(request)
    note(request, "mfa.recovery_codes", person(request))
    return show(request, "codes", CODES, codes=codes, onward="")


class TooMany(DomainError):
    """Too many tries from one address."""

    status = 429
    code = "throttled"


def _in_bounds(request: HttpRequest) -> None:
    if too_many(request):
        raise TooMany(SLOW_DOWN)


def _refused(
    request: HttpRequest, name: str, title: str, action: str, refusal: ValidationError | DomainError, **context: object
) -> HttpResponse:
    """Show the form again with what was wrong, and write that down."""
    status, reason = 400, "form"
    if isinstance(refusal, DomainError):
        status, reason, sentence = refusal.status, refusal.code, str(refusal)
    else:
        sentence = " ".join(refusal.messages)
    note(request, action, person(request), reason)
    return show(request, name, title, wrong=sentence, status=status, **context)


def _ended(request: HttpRequest, text: str) -> HttpResponse:
    try:
        done = services.end_session(person(request), UUID(text))
    except ValueError:
        done = False
    note(request, "end_session", person(request), "" if done else "not there")
    told = "That sign-in has ended." if done else "There is no such sign-in any more."
    messages.success(request, told)
    return redirect("account")


def _session(request: HttpRequest) -> LoginSession:
    """Return the sign-in of a page's cookie; whoever is signed in at the pages came with one."""
    session = session_of(request)
    if session is None:
        raise PermissionDenied
    return session
