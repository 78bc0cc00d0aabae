"""The way into the pages: password, code, or setting up a second step; the API's proof, with a form around it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect

from backend.apps.core.exceptions import DomainError
from backend.apps.users import cookies, second_step, services
from backend.apps.users.models import Kind, LoginSession, Stage, User
from backend.apps.users.password_rules import LONGEST, TOO_LONG
from backend.apps.users.sign_in_frame import SLOW_DOWN, forgive, go_on, note, page, show, too_many, wanted

SIGN_IN, CODE, SET_UP = "Sign in", "Enter a code", "Set up a second step"
AGAIN = "Too much time went by. Enter the password again."


@page
def sign_in(request: HttpRequest) -> HttpResponse:
    """Take an e-mail address and a password, and lead in, to the code, or to the set-up of a second step."""
    if request.method != "POST":
        if getattr(request.user, "is_staff", False):
            return HttpResponseRedirect(wanted(request))
        return show(request, "sign_in", SIGN_IN)
    email, password = request.POST.get("username", "")[:254], request.POST.get("password", "")
    if len(password) > LONGEST:
        note(request, "admin.login", None, "form", whose=services.login_of(email))
        return show(request, "sign_in", SIGN_IN, wrong=TOO_LONG, status=400, email=email)
    if wait_s := too_many(request):
        note(request, "admin.login", None, "throttled", whose=services.login_of(email))
        return _slowed(request, "sign_in", SIGN_IN, wait_s)
    try:
        session = _begun(request, email, password)
    except services.SignInRefused as refusal:
        note(request, "admin.login", None, refusal.reason, whose=refusal.whose)
        return show(request, "sign_in", SIGN_IN, wrong=str(refusal), status=401, email=email)
    forgive(request)
    return _led_on(request, session)


@page
def code(request: HttpRequest) -> HttpResponse:
    """Take a code of the device, or one on paper."""
    session = _at(request, Stage.CODE)
    if session is None:
        return show(request, "sign_in", SIGN_IN, wrong=AGAIN) if request.method == "POST" else go_on(request, "sign-in")
    if request.method != "POST":
        return show(request, "code", CODE)
    if wait_s := too_many(request):
        note(request, "admin.login.code", session.user, "throttled")
        return _slowed(request, "code", CODE, wait_s)
    try:
        session = services.pass_code(session.pk, request.POST.get("code", "")[:40])
    except second_step.CodeRefused as refusal:
        note(request, "admin.login.code", session.user, refusal.code)
        return show(request, "code", CODE, wrong=str(refusal), status=401)
    forgive(request)
    note(request, "admin.login.code", session.user)
    cookies.enter(request, session)
    return HttpResponseRedirect(wanted(request))


@page
def set_up(request: HttpRequest) -> HttpResponse:
    """Let somebody whose role needs a second step set it up; nothing else is open to them before."""
    session = _at(request, Stage.ENROL)
    if session is None:
        return go_on(request, "sign-in")
    begins = request.method == "POST" and request.POST.get("act") == "anew"
    if not second_step.is_fresh(session) and (begins or second_step.waiting(session) is None):
        return show(request, "sign_in", SIGN_IN, wrong=AGAIN)
    if request.method != "POST":
        return _device(request, session)
    if begins:
        note(request, "mfa.enrol", session.user)
        services.enrol(session)
        return go_on(request, "second-step")
    return confirmed(request, session) or _device(request, session, second_step.CodeRefused())


def confirmed(request: HttpRequest, session: LoginSession) -> HttpResponse | None:
    """Let the new device count if the code is its; show the recovery codes, once. None: it is not."""
    try:
        codes = second_step.confirm(session, request.POST.get("code", "")[:40])
    except second_step.CodeRefused as refusal:
        note(request, "mfa.confirm", session.user, refusal.code)
        return None
    note(request, "mfa.confirm", session.user)
    if session.stage == Stage.ENROL:
        cookies.enter(request, session)
    return show(request, "codes", "Recovery codes", codes=codes, onward=wanted(request))


@page
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this browser's sign-in; nothing it kept stays in it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    user = request.user
    note(request, "admin.logout", user if isinstance(user, User) else None)
    cookies.leave(request, HttpResponse())
    answer = show(request, "out", "You are signed out")
    answer["Clear-Site-Data"] = cookies.CLEARS
    return answer


def _begun(request: HttpRequest, email: str, password: str) -> LoginSession:
    user = services.prove(email, password)
    if not user.is_staff:
        raise services.SignInRefused("not staff", user)
    return services.begin(user, kind=Kind.COOKIE)


def _led_on(request: HttpRequest, session: LoginSession) -> HttpResponse:
    user = session.user
    if session.stage == Stage.OPEN:
        note(request, "admin.login", user)
        cookies.enter(request, session)
        return HttpResponseRedirect(wanted(request))
    note(request, "admin.login", user, second_step=str(session.stage))
    cookies.hold(request, session)
    if session.stage == Stage.CODE:
        return go_on(request, "sign-in-code")
    services.enrol(session)
    return go_on(request, "second-step")


def _at(request: HttpRequest, stage: Stage) -> LoginSession | None:
    session = cookies.pending(request)
    return session if session is not None and session.stage == stage else None


def _device(request: HttpRequest, session: LoginSession, wrong: DomainError | None = None) -> HttpResponse:
    device, status = second_step.waiting(session), wrong.status if wrong else 200
    return show(request, "second_step", SET_UP, device=device, wrong=str(wrong or ""), status=status)


def _slowed(request: HttpRequest, name: str, title: str, wait_s: int) -> HttpResponse:
    answer = show(request, name, title, wrong=SLOW_DOWN, status=429)
    answer["Retry-After"] = str(wait_s)
    return answer
