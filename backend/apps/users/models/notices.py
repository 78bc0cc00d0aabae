"""Mails to the owner of a login; without them somebody else could change it and nobody would know."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core.bases import UUIDModel
from backend.apps.core.work import WorkItem, WorkState, work_indexes
from backend.apps.users.models.people import User


class Notice(models.TextChoices):
    LOCKED = "locked", "the password was guessed too often"
    CODES_LOCKED = "codes_locked", "the code was guessed too often"
    ENROLLED = "enrolled", "a second step was set up"
    CODES = "codes", "new recovery codes were made"
    RECOVERED = "recovered", "a recovery code was used"
    RESET = "reset", "the second step was taken off"
    REUSED = "reused", "a refresh token was used twice"


class LoginNotice(UUIDModel, WorkItem):
    """One e-mail to the owner of a login. user: None where nobody has the login that was guessed: it costs the same."""

    task_name: ClassVar[str] = "alerts.tell_owner"
    replay_safe: ClassVar[bool] = False

    kind = models.CharField(max_length=12, choices=Notice, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="login_notices", editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="users_loginnotice_work_state_known"
            ),
            models.CheckConstraint(condition=Q(kind__in=Notice.values), name="users_loginnotice_kind_known"),
        ]
        indexes: ClassVar[list[models.Index]] = work_indexes("login_notice")

    def __str__(self) -> str:
        return f"notice of a login {self.pk}"
