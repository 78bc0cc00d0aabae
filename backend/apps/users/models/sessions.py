"""Sign-ins, of tokens and of cookies alike; without the row nobody could end one before it runs out by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from backend.apps.core.bases import UUIDModel
from backend.apps.users.models.people import User

CHALLENGE = timedelta(minutes=5)  # from the password to the code


class Ended(models.TextChoices):
    LOGOUT = "logout", "signed out"
    REUSED = "reused", "a refresh token was used twice"
    PASSWORD = "password", "the password was changed"
    DEACTIVATED = "deactivated", "the login was closed"
    EVERYWHERE = "everywhere", "signed out everywhere"
    OWNER = "owner", "its owner ended it from another one"
    ROLE = "role", "the role was changed"
    SECOND_STEP = "second_step", "the second step was changed"
    GUESSED = "guessed", "too many wrong codes or passwords"
    IDLE = "idle", "nothing happened for too long"
    EXPIRED = "expired", "its time was over"


class Kind(models.TextChoices):
    TOKEN = "token", "tokens of the API"
    COOKIE = "cookie", "a cookie of a browser"


class Stage(models.TextChoices):
    """How far a sign-in has come: it acts when OPEN; CODE waits for a code, ENROL may set up a second step only."""

    OPEN = "open"
    CODE = "code", "waits for a code"
    ENROL = "enrol", "has to set up a second step"


def absolute() -> timedelta:
    """Return how long a sign-in lasts at most."""
    rules: dict[str, Any] = settings.SIMPLE_JWT
    lasts: timedelta = rules["REFRESH_TOKEN_LIFETIME"]
    return lasts


def idle() -> timedelta:
    """Return after how long without a request a sign-in is over."""
    return timedelta(minutes=settings.IDLE_MIN)


class LoginSessionQuerySet(models.QuerySet):
    def live(self) -> Self:
        return self.filter(revoked_at__isnull=True)

    def in_time(self, *stages: str) -> Self:
        """Live ones at one of these stages, neither too old nor left alone by the database's clock."""
        found = self.live().filter(stage__in=stages or (Stage.OPEN,))
        return found.filter(created_at__gt=Now() - absolute(), last_seen_at__gt=Now() - idle())

    def usable(self, *stages: str) -> Self:
        """Sessions that may still act: in time, and of a login that is open.

        No join: an UPDATE would then ask of the row in a subquery, and of two at once both would find it unchanged.
        """
        is_open = User.objects.filter(pk=OuterRef("user_id"), is_active=True)
        return self.in_time(*stages).filter(Exists(is_open))

    def pending(self) -> Self:
        """Those that wait for a code, and not for too long."""
        return self.usable(Stage.CODE).filter(created_at__gt=Now() - CHALLENGE)

    def revoke(self, because: str) -> int:
        """Kill the tokens and cookies of these sessions at once; return how many still lived. Twice is harmless."""
        return self.live().update(revoked_at=Now(), revoked_because=because)


class LoginSession(UUIDModel):
    """One sign-in. Every token and cookie carries its id, so that revoking the row kills them at once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_sessions")
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.TOKEN, db_default=Kind.TOKEN, editable=False)
    stage = models.CharField(max_length=5, choices=Stage, default=Stage.OPEN, db_default=Stage.OPEN, editable=False)
    refresh_jti = models.CharField(max_length=32)  # the only refresh token that may still be used
    wrong_codes = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_because = models.CharField(max_length=12, choices=Ended, blank=True, editable=False)

    is_this = False  # whether it is the one that asks; never stored

    objects = LoginSessionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_because="")
                | Q(
                    revoked_at__isnull=False,
                    revoked_because__in=Ended.values,
                ),
                name="users_loginsession_revoked_why",
            ),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="users_loginsession_kind_known"),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="users_loginsession_stage_known"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user"], name="loginsession_live", condition=Q(revoked_at__isnull=True)),
            models.Index(fields=["created_at"], name="loginsession_oldest", condition=Q(revoked_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"login session {self.pk}"
