"""What closing the books found, and how many rows were ever written; else nobody would miss a row that vanished."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.work import WorkItem, WorkState, work_indexes

HALF = re.compile(r"reconcile:([0-9a-f-]{36}):[01]")


class ReconcileRun(ClinicModel, WorkItem):
    """One closing of the books of one part, asked for by the beat or a person.

    books: as `core.ledger.Books` tells, with a moment before it looked (`as_of`), and what a person let be and it found
    again (`let_be`). Of a run that was closed in halves: their keys (`split`), and those two when all of them ended.
    """

    task_name: ClassVar[str] = "reconcile.run"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    part = models.CharField(max_length=40, editable=False)
    since = models.DateTimeField(null=True, blank=True, editable=False)
    until = models.DateTimeField(null=True, blank=True, editable=False)
    requested_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    agree = models.BooleanField(null=True, editable=False)
    books = models.JSONField(default=dict, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="core_reconcilerun_work_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("reconcile_run"),
            models.Index(fields=["part", "-created_at"], name="reconcile_run_part"),
            models.Index(fields=["-created_at", "id"], name="reconcile_run_newest"),
        ]

    @property
    def half_of(self) -> str | None:
        """The key of the run of which this one is a half; None where it is none."""
        told = HALF.fullmatch(self.dedupe_key)
        return told[1] if told else None

    def enqueue_half(self, place: int, **range_of: Any) -> ReconcileRun:
        """Put the first (0) or the last (1) half in line. range_of: `since` and `until`."""
        key = f"reconcile:{self.pk}:{place}"
        same: dict[str, Any] = {"part": self.part, "requested_by": self.requested_by}
        return ReconcileRun.work.enqueue(dedupe_key=key, **same, **range_of)


class RowTally(models.Model):
    """How many rows of a table were written in one statement, by the hour of their `created_at`; triggers add them.

    Rows are only ever added: removing rows by rule adds a negative count. marks: the XOR of a hash of their keys, so
    that a row that vanished and another that came from nowhere are not taken for each other.
    """

    table_name = models.CharField(max_length=63)
    hour = models.DateTimeField()
    count = models.BigIntegerField()
    marks = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "row tallies"
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["table_name", "hour"], name="row_tally_hour")]

    def __str__(self) -> str:
        return f"{self.table_name} {self.count}"
