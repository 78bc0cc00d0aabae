"""What happens to logins: sign in and out, rotate tokens, change passwords, open and close."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.roles import Role
from backend.apps.users import tokens
from backend.apps.users.models import Ended, LoginSession, User
from backend.apps.users.tokens import Tokens

OWN_FIELDS = frozenset({"first_name", "last_name", "phone"})


class SignInRefused(DomainError):
    """One sentence whatever was wrong: who has a login here is nobody's business."""

    status = 401
    code = "sign_in_refused"

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is not right.")


class SessionEnded(DomainError):
    """The refresh token is not, or no longer, good."""

    status = 401
    code = "session_ended"

    def __init__(self) -> None:
        super().__init__("Sign in again.")


def prove(email: str, password: str) -> User:
    """Return the active user these credentials belong to.

    One password hash is computed whether or not there is such a user, so that the time tells nothing.

    Raises:
        SignInRefused: unknown, wrong, without a password, deactivated or deleted.
    """
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        make_password(password)
        raise SignInRefused
    if not user.check_password(password) or not user.is_active:
        raise SignInRefused
    return user


def sign_in(email: str, password: str) -> tuple[User, Tokens]:
    user = prove(email, password)
    return user, open_session(user)


@transaction.atomic
def open_session(user: User) -> Tokens:
    """Begin a session; the update waits for a deactivation that runs at the same time and loses to it."""
    if not User.objects.filter(pk=user.pk, is_active=True).update(last_login=Now()):
        raise SignInRefused
    return tokens.issue(LoginSession.objects.create(user=user, refresh_jti=uuid.uuid4().hex))


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
    row = LoginSession.objects.usable().filter(pk=claims.session_id)
    if not row.filter(refresh_jti=claims.jti).update(refresh_jti=jti, last_seen_at=Now()):
        row.revoke(Ended.REUSED)
        raise SessionEnded
    session = LoginSession.objects.select_related("user").get(pk=claims.session_id)
    session.refresh_jti = jti
    return session.user, tokens.issue(session)


def sign_out(session: LoginSession) -> None:
    LoginSession.objects.filter(pk=session.pk).revoke(Ended.LOGOUT)


def sign_out_everywhere(
    user: User,
    *,
    by: User | None = None,
) -> User:
    """End every session of `user`; cookie sessions of the admin site end with the password or the login only."""
    user.login_sessions.revoke(Ended.EVERYWHERE)
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
    user.login_sessions.revoke(Ended.DEACTIVATED)
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
    for name, value in fields.items():
        setattr(user, name, value)
    user.full_clean(exclude=["password"])
    user.save(update_fields=[*fields, "updated_at"])
    return user


def change_password(user: User, *, current: str, new: str, keep: LoginSession | None = None) -> User:
    """Set a new password for the one who knows the current one, and end every session but `keep`.

    Raises:
        ValidationError: the current password is wrong, or the new one too weak.
    """
    if not check_password(current, user.password):
        raise ValidationError({"current_password": ["This is not the current password."]})
    return set_password(user, new=new, keep=keep)


@transaction.atomic
def set_password(user: User, *, new: str | None, keep: LoginSession | None = None) -> User:
    """Set a password (None: nobody can sign in) and end every session but `keep`."""
    _set_password(user, new)
    user.save(update_fields=["password", "updated_at"])
    ended = user.login_sessions.exclude(pk=keep.pk) if keep else user.login_sessions.all()
    ended.revoke(Ended.PASSWORD)
    return user


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
