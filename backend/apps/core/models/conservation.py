"""What closing the books found, and how many rows were ever written; else nobody would miss a row that vanished."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class ReconcileRun(ClinicModel, WorkItem):
    """One closing of the books of one part, asked for by the beat or a person. books: as `core.ledger.Books` tells."""

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
