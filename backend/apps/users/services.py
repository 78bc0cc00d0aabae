"""What happens to logins: sign in and out, rotate tokens, change passwords, open and close."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.roles import Role
from backend.apps.users import guards, second_step, timeouts, tokens
from backend.apps.users.models import Ended, Kind, LoginSession, Notice, Stage, User
from backend.apps.users.tokens import Tokens

MOST_CODES = 5  # tries at one sign-in
OWN_FIELDS = frozenset({"first_name", "last_name", "phone"})


class SignInRefused(DomainError):
    """One sentence whatever was wrong: who has a login here is nobody's business."""

    status = 401
    code = "sign_in_refused"

    def __init__(self, reason: str = "credentials") -> None:
        super().__init__("The e-mail address or the password is not right.")
        self.reason = reason  # for the audit log


class SessionEnded(DomainError):
    """The refresh token is not, or no longer, good."""

    status = 401
    code = "session_ended"

    def __init__(self) -> None:
        super().__init__("Sign in again.")


def prove(email: str, password: str) -> User:
    """Return the active user these credentials belong to. Every try is counted; too many lock the login for a while.

    One password hash is computed whether there is such a user, and whether it is locked, so that the time tells
    nothing.

    Raises:
        SignInRefused: unknown, wrong, without a password, deactivated, deleted, or locked, even when it is right.
    """
    counted = guards.count(email, guards.PASSWORD)
    user = User.objects.filter(email=email.strip().lower()).first()
    right = _is_right(user, password)
    guards.tell(counted, Notice.LOCKED, user, who=email)
    if counted.is_locked or user is None or not right or not user.is_active:
        raise SignInRefused("locked" if counted.is_locked else "credentials")
    guards.clear(email, guards.PASSWORD)
    return user


def prove_again(user: User, password: str, *, field: str = "current_password") -> None:
    """Let somebody who is signed in prove that it is still them, counted as a sign-in is.

    Raises:
        ValidationError: of `field`, when the password is wrong or its login is locked.
    """
    try:
        prove(user.email, password)
    except SignInRefused as error:
        raise ValidationError({field: ["This is not the current password."]}) from error


def sign_in(email: str, password: str, *, kind: str = Kind.TOKEN) -> LoginSession:
    """Begin a session of whoever these credentials belong to; its `stage` says whether there is more to prove."""
    return begin(prove(email, password), kind=kind)


@transaction.atomic
def begin(user: User, *, kind: str = Kind.TOKEN, stage: str | None = None) -> LoginSession:
    """Begin a session at `stage`, or where the second step of this user has it begin.

    What ends all sessions at the same moment (another password, a closed login) waits for this, or wins.
    """
    fresh = User.objects.filter(pk=user.pk, is_active=True, token_version=user.token_version)
    if not fresh.update(last_login=Now()):
        raise SignInRefused
    stage = stage or second_step.stage_for(user)
    return LoginSession.objects.create(user=user, kind=kind, stage=stage, refresh_jti=uuid.uuid4().hex)


def open_session(user: User) -> Tokens:
    """Begin a session of whoever has proved everything, and return its tokens."""
    return tokens.issue(begin(user, stage=Stage.OPEN))


def pass_code(session_id: uuid.UUID, code: str) -> LoginSession:
    """Let a session act that waited for a code. Each code counts once, and five wrong ones end the session.

    Raises:
        CodeRefused: no such session, or not for so long, or not the code.
    """
    rows = LoginSession.objects.filter(pk=session_id)
    session = rows.pending().select_related("user").first()
    if session is None or not rows.filter(wrong_codes__lt=MOST_CODES).update(wrong_codes=F("wrong_codes") + 1):
        rows.filter(stage=Stage.CODE).revoke(Ended.GUESSED)
        raise second_step.CodeRefused
    second_step.check(session.user, code)
    if not rows.pending().update(stage=Stage.OPEN, last_seen_at=Now(), wrong_codes=0):
        raise second_step.CodeRefused
    session.stage = Stage.OPEN
    return session


def refresh(text: str) -> tuple[User, Tokens]:
    """Trade a refresh token for new tokens. Each may be used once: a second use ends the session, for both holders.

    Raises:
        SessionEnded: not a refresh token of ours, used before, or its session is over.
    """
    try:
        claims = tokens.read_refresh(text)
    except tokens.BadToken as error:
        raise SessionEnded from error
    jti = uuid.uuid4().hex
    row = LoginSession.objects.usable(Stage.OPEN, Stage.ENROL).filter(pk=claims.session_id, kind=Kind.TOKEN)
    if not row.filter(refresh_jti=claims.jti).update(refresh_jti=jti, last_seen_at=Now()):
        if not timeouts.end(claims.session_id):
            row.revoke(Ended.REUSED)
        raise SessionEnded
    session = LoginSession.objects.select_related("user").get(pk=claims.session_id)
    session.refresh_jti = jti
    return session.user, tokens.issue(session)


def sign_out(session: LoginSession) -> None:
    LoginSession.objects.filter(pk=session.pk).revoke(Ended.LOGOUT)


def own_sessions(user: User, this: LoginSession | None) -> list[LoginSession]:
    """Return the sign-ins of `user` that are open, the latest first; `is_this` marks the one that asks."""
    rows = list(user.login_sessions.usable().order_by("-created_at", "id"))
    for row in rows:
        row.is_this = this is not None and row.pk == this.pk
    return rows


def enrol(session: LoginSession, *, password: str | None = None, code: str | None = None) -> second_step.Enrolment:
    """Begin to set up a second step: with the password again, or right after a sign-in that may do nothing else.

    Where one is set up already, its code is asked for as well.

    Raises:
        ValidationError: the password or the code is missing.
        CodeRefused: the code is not right.
    """
    if session.stage != Stage.ENROL:
        prove_again(session.user, password or "")
    if second_step.is_set_up(session.user):
        if not code:
            raise ValidationError({"code": ["Give a code of the device that counts now."]})
        second_step.check(session.user, code)
    return second_step.enrol(session)


def new_recovery_codes(user: User, code: str) -> list[str]:
    """Return new recovery codes for the one who has a fresh code."""
    second_step.check(user, code)
    return second_step.new_codes(user)


def end_session(user: User, session_id: uuid.UUID) -> bool:
    """End one of the own sessions from another one; return whether there was such a session."""
    return bool(user.login_sessions.filter(pk=session_id).revoke(Ended.OWNER))


@transaction.atomic
def sign_out_everywhere(
    user: User,
    *,
    by: User | None = None,
) -> User:
    """End every session of `user`, of tokens and of cookies."""
    _end_all(user, Ended.EVERYWHERE)
    return user


@transaction.atomic
def unlock(user: User, *, by: User | None) -> User:
    """Open a login that was guessed too often; its owner may try again at once."""
    guards.clear(user.email, guards.PASSWORD)
    guards.clear(str(user.pk), guards.CODE)
    return user


@transaction.atomic
def reset_second_step(user: User, *, by: User | None) -> User:
    """Take off the second step of somebody who lost it, end every session, and let the owner know by mail."""
    if by is not None and by.pk == user.pk:
        raise DomainError("Somebody else has to take off your own second step.")
    second_step.remove(user)
    _end_all(user, Ended.SECOND_STEP)
    second_step.tell(user, Notice.RESET)
    return user


@transaction.atomic
def deactivate(user: User, *, by: User | None, reason: str = "") -> User:
    """Close a login and end its sessions at once. Twice is harmless: the first moment and reason stay."""
    if by is not None and by.pk == user.pk:
        raise DomainError("You cannot close your own login.")
    _keep_an_administrator(user)
    now = timezone.now()
    User.all_objects.filter(pk=user.pk, is_active=True).update(
        is_active=False, deactivated_at=now, deactivated_because=reason[:200], updated_at=now
    )
    _end_all(user, Ended.DEACTIVATED)
    user.refresh_from_db(fields=["is_active", "deactivated_at", "deactivated_because", "updated_at"])
    return user


@transaction.atomic
def reactivate(
    user: User,
    *,
    by: User | None,
) -> User:
    """Open a login again; its old sessions stay ended."""
    user.is_active, user.deactivated_at, user.deactivated_because = True, None, ""
    user.save(update_fields=["is_active", "deactivated_at", "deactivated_because", "updated_at"])
    return user


@transaction.atomic
def create(
    *,
    by: User | None,
    email: str,
    password: str | None = None,
    **fields: Any,
) -> User:
    """Add a login; without a password nobody can sign in with it until an administrator sets one."""
    user = User(email=email.lower(), **fields)
    _set_password(user, password)
    user.full_clean(exclude=["password"])
    user.save()
    return user


@transaction.atomic
def update(user: User, *, by: User | None, **fields: Any) -> User:
    """Change a login. Only an administrator changes more than the own names and phone number.

    Raises:
        PermissionDenied: a field that is not the caller's to change.
    """
    if by is not None and not by.is_admin and (by.pk != user.pk or set(fields) - OWN_FIELDS):
        raise PermissionDenied
    if fields.get("role", Role.ADMIN) != Role.ADMIN:
        _keep_an_administrator(user)
    changes_role = fields.get("role", user.role) != user.role
    for name, value in fields.items():
        setattr(user, name, value)
    user.full_clean(exclude=["password"])
    user.save(update_fields=[*fields, "updated_at"])
    if changes_role:
        _end_all(user, Ended.ROLE)
    return user


def change_password(user: User, *, current: str, new: str, keep: LoginSession | None = None) -> User:
    """Set a new password for the one who knows the current one, and end every session but `keep`.

    Raises:
        ValidationError: the current password is wrong, or the new one too weak.
    """
    prove_again(user, current)
    return set_password(user, new=new, keep=keep)


@transaction.atomic
def set_password(user: User, *, new: str | None, keep: LoginSession | None = None) -> User:
    """Set a password (None: nobody can sign in) and end every session but `keep`. A second step stays as it is."""
    _set_password(user, new)
    user.save(update_fields=["password", "updated_at"])
    _end_all(user, Ended.PASSWORD, keep=keep)
    return user


def _end_all(user: User, because: str, *, keep: LoginSession | None = None) -> None:
    """End the sessions of a login, those too that are just about to begin: their user is an older version."""
    User.all_objects.filter(pk=user.pk).update(token_version=F("token_version") + 1)
    user.refresh_from_db(fields=["token_version"], from_queryset=User.all_objects.all())
    ended = user.login_sessions.exclude(pk=keep.pk) if keep else user.login_sessions.all()
    ended.revoke(because)


def _is_right(user: User | None, password: str) -> bool:
    """Compute one hash, whoever it is about; one by older parameters is written anew when it is right."""
    if user is None:
        make_password(password)
        return False
    return user.check_password(password)


def _set_password(user: User, password: str | None) -> None:
    if password is not None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise ValidationError({"password": error.messages}) from error
    user.set_password(password)


def _keep_an_administrator(user: User) -> None:
    """Refuse to take the last administrator away; the rows are locked, so that two cannot go at once."""
    if user.role != Role.ADMIN or not user.is_active:
        return
    admins = User.objects.select_for_update(no_key=True).filter(role=Role.ADMIN, is_active=True).order_by("pk")
    if {admin.pk for admin in admins} <= {user.pk}:
        raise DomainError("The clinic needs at least one active administrator.")
