"""Stored messages filed once more, on trial or in earnest; without this nobody would see what a change would do."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Case, F, Q, Value, When

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel
from backend.apps.core.roles import Role
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class ReplayStatus(models.TextChoices):
    PENDING = "pending"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


class LabReplay(ClinicModel, WorkItem):
    """One replay of chosen messages. A dry run files them and takes everything back, but keeps the difference.

    `appears`, `changes` and `disappears` count how the charts differ; what differs stands with the messages. The
    machine works in parts and saves each with its progress: it may be killed anywhere and goes on from there.
    """

    Status = ReplayStatus

    task_name: ClassVar[str] = "lab_replays.run"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset({Role.LAB_TECH}))

    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING, editable=False)
    dry_run = models.BooleanField(default=True, editable=False)
    requested_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    of_dry_run = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="real_runs"
    )
    total = models.PositiveIntegerField(editable=False)
    done = models.PositiveIntegerField(default=0, editable=False)
    appears = models.PositiveIntegerField(default=0, editable=False)
    changes = models.PositiveIntegerField(default=0, editable=False)
    disappears = models.PositiveIntegerField(default=0, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(status__in=ReplayStatus.values), name="laboratory_labreplay_status_known"
            ),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="laboratory_labreplay_work_known"
            ),
            models.CheckConstraint(condition=Q(done__lte=F("total")), name="laboratory_labreplay_done_of_total"),
            models.CheckConstraint(
                condition=Q(of_dry_run__isnull=True) | Q(dry_run=False), name="laboratory_labreplay_real_after_dry"
            ),
            models.UniqueConstraint(fields=["of_dry_run"], name="laboratory_labreplay_applied_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("labreplay"),
            models.Index(fields=["-created_at", "id"], name="labreplay_newest"),
            models.Index(fields=["status", "-created_at"], name="labreplay_status"),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        """What failed is pending again once it is back in line; what somebody cancelled stays cancelled."""
        if state in {WorkState.FAILED, WorkState.HELD}:
            return {"status": ReplayStatus.FAILED}
        again = When(status=ReplayStatus.FAILED, then=Value(ReplayStatus.PENDING))
        return {"status": Case(again, default=F("status"))} if state == WorkState.WAITING else {}

    @property
    def differs(self) -> int:
        """How many places of the charts would be, or are, different."""
        return self.appears + self.changes + self.disappears


class ReplayedMessage(UUIDModel):
    """One message of a replay, and what became of it.

    `charts` are the keys of the patients it touches, null until that is known; messages that share a chart are one
    `group` and are filed together. `difference` is that of the whole group, on its last message; it holds values.
    """

    replay = models.ForeignKey(LabReplay, on_delete=models.PROTECT, related_name="messages")
    message = models.ForeignKey("laboratory.InboundMessage", on_delete=models.PROTECT, related_name="replays")
    position = models.PositiveIntegerField()
    charts = models.JSONField(null=True)
    group = models.PositiveIntegerField(null=True)
    status = models.CharField(max_length=9, blank=True)  # an `InboundStatus`, "in line", "left" or "broken"
    status_reason = models.CharField(max_length=300, blank=True)
    difference = models.JSONField(default=list)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["replay", "message"], name="laboratory_replayedmessage_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["replay", "position"], name="replayed_order"),
            models.Index(fields=["replay", "group"], name="replayed_group", condition=Q(done_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"replayed message {self.pk}"
