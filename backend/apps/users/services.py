"""What happens to logins: sign in and out, rotate tokens, change passwords, open and close."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.roles import Role
from backend.apps.users import guards, second_step, timeouts, tokens
from backend.apps.users.models import Ended, Kind, LoginSession, LoginSessionQuerySet, Notice, Stage, User
from backend.apps.users.tokens import Tokens

MOST_CODES = 5  # wrong ones at one sign-in; passwords count too, once it is open
NOT_CURRENT = "This is not the current password."
OWN_FIELDS = frozenset({"first_name", "last_name", "phone"})


class SignInRefused(DomainError):
    """One sentence whatever was wrong: who has a login here is nobody's business."""

    status = 401
    code = "sign_in_refused"

    def __init__(self, reason: str = "credentials", whose: User | None = None) -> None:
        super().__init__("The e-mail address or the password is not right.")
        self.reason, self.whose = reason, whose  # for the audit log


class NotGiven(ValidationError):
    """A field of the proof is empty, which is no guess."""


class SessionEnded(DomainError):
    """The refresh token is not, or no longer, good."""

    status = 401
    code = "session_ended"

    def __init__(self, reason: str = "", subject: User | None = None) -> None:
        super().__init__("Sign in again.")
        self.reason, self.subject = reason, subject  # for the audit log


def login_of(email: str) -> User | None:
    """Return the login of an address as somebody typed it, closed ones too."""
    return User.objects.filter(email=email.strip().lower()).first()


def prove(email: str, password: str) -> User:
    """Return the active user these credentials belong to. Every try is counted; too many lock the login for a while.

    One password hash is computed whether there is such a user, and whether it is locked, so that the time tells
    nothing.

    Raises:
        SignInRefused: unknown, wrong, without a password, deactivated, deleted, or locked, even when it is right.
    """
    user = login_of(email)
    right, is_stale = _judged(user, password)
    is_in = right and user is not None and user.is_active
    was_locked = guards.count(email, guards.PASSWORD, user, is_wrong=not is_in)
    if was_locked or user is None or not is_in:
        raise SignInRefused("locked" if was_locked else "credentials", user)
    guards.forgive(email, guards.PASSWORD)
    if is_stale:
        _hash_anew(user, password)
    return user


def prove_again(user: User, password: str) -> User:
    """Let somebody who is signed in prove that it is still them, counted as a sign-in is; return them as proved.

    Raises:
        NotGiven: the password is missing.
        ValidationError: it is wrong, or its login is locked.
    """
    if not password:
        raise NotGiven({"current_password": ["Give the current password."]})
    try:
        return prove(user.email, password)
    except SignInRefused as error:
        raise ValidationError({"current_password": [NOT_CURRENT]}) from error


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
        raise _over(row, claims.session_id)
    session = LoginSession.objects.select_related("user").get(pk=claims.session_id)
    session.refresh_jti = jti
    return session.user, tokens.issue(session)


@transaction.atomic
def _over(row: LoginSessionQuerySet, session_id: uuid.UUID) -> SessionEnded:
    """Return why a session gives no tokens; one whose token came twice ends, and its owner is told."""
    user = User.all_objects.filter(login_sessions=session_id).first()
    if why := timeouts.end(session_id):
        return SessionEnded(why, user)
    if user is None or not row.revoke(Ended.REUSED):
        return SessionEnded("ended", user)
    second_step.tell(user, Notice.REUSED)
    return SessionEnded(str(Ended.REUSED), user)


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
        ValidationError: the password is missing or wrong, or the code is missing.
        CodeRefused: the code is not right.
        SessionEnded: that was one wrong password or code too many.
    """
    is_set_up = second_step.is_set_up(session.user)
    if is_set_up and not code:
        raise NotGiven({"code": ["Give a code of the device that counts now."]})
    with _guessing_ends(session):
        if session.stage != Stage.ENROL or not second_step.is_fresh(session):
            prove_again(session.user, password or "")
        if is_set_up:
            second_step.check(session.user, code or "")
    return second_step.enrol(session)


def new_recovery_codes(user: User, code: str, *, session: LoginSession | None) -> list[str]:
    """Return new recovery codes for the one who has a fresh code.

    Raises:
        NotGiven: the code is missing.
        CodeRefused: the code is not right.
        SessionEnded: that was one wrong code too many.
    """
    if not code:
        raise NotGiven({"code": ["Give a code."]})
    with _guessing_ends(session):
        second_step.check(user, code)
    return second_step.new_codes(user)


@contextmanager
def _guessing_ends(session: LoginSession | None) -> Iterator[None]:
    """End a sign-in in which somebody proves themselves wrong five times, long before that locks the login itself."""
    rows = LoginSession.objects.filter(pk=session.pk) if session else LoginSession.objects.none()
    try:
        yield
    except NotGiven:
        raise
    except (ValidationError, second_step.CodeRefused):
        rows.update(wrong_codes=F("wrong_codes") + 1)
        if session and rows.filter(wrong_codes__gte=MOST_CODES).revoke(Ended.GUESSED):
            raise SessionEnded(str(Ended.GUESSED), session.user) from None
        raise
    rows.update(wrong_codes=0)


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
    second_step.locked(user.pk)
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
        ValidationError: the current password is wrong, or was changed meanwhile, or the new one is too weak.
        SessionEnded: that was one wrong password too many.
    """
    with _guessing_ends(keep):
        proven = prove_again(user, current)
    with transaction.atomic():
        if second_step.locked(user.pk).token_version != proven.token_version:
            raise ValidationError({"current_password": [NOT_CURRENT]})
        return set_password(user, new=new, keep=keep)


@transaction.atomic
def set_password(user: User, *, new: str | None, keep: LoginSession | None = None) -> User:
    """Set a password (None: nobody can sign in) and end every session but `keep`. A second step stays as it is."""
    second_step.locked(user.pk)
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


def _judged(user: User | None, password: str) -> tuple[bool, bool]:
    """Compute one hash, whoever it is about; return whether it is right, and by parameters that are not ours now."""
    if user is None:
        make_password(password)
        return False, False
    right, is_stale = verify_password(password, user.password)
    return right, right and is_stale


def _hash_anew(user: User, password: str) -> None:
    """Write the hash of a right password by the parameters of now, unless the password was changed meanwhile."""
    read = user.password
    user.rehash(make_password(password))
    if not User.objects.filter(pk=user.pk, password=read).update(password=user.password, rehashed=user.rehashed):
        user.refresh_from_db(fields=["password", "rehashed"])


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
