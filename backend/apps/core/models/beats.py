"""When each entry of the beat schedule ran and how much was worked; else a stopped beat would be seen by nobody."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Heartbeat(models.Model):
    """One row per entry of the beat schedule, kept by the workers, who know the schedule.

    due_by: when the next run has to be noted; later than that the entry is late. caught_up_at: when a missed run was
    last rung for. failed_at, failures: the last run that raised, and how many in a row did. pinged_at: when its
    dead-man address was last told.
    """

    entry = models.CharField(max_length=80, primary_key=True)
    task = models.CharField(max_length=80, blank=True, default="", db_default="")
    last_run_at = models.DateTimeField(null=True, blank=True)
    due_by = models.DateTimeField(null=True, blank=True)
    runs = models.PositiveBigIntegerField(default=0)
    failed_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, db_default=0)
    caught_up_at = models.DateTimeField(null=True, blank=True)
    pinged_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.entry


class WorkTally(models.Model):
    """How many rows of a kind of work ended how, by quarters of an hour; old ones are folded into days.

    task: the task's name; outcome: as the engines name it ("done", "waiting", "failed", ...), or "error:" and a class
    of errors, counted beside the outcome of the same row. seconds: spent on them; waited_s: between when they were due
    and when they were leased. None of it tells of a patient.
    """

    task = models.CharField(max_length=80)
    outcome = models.CharField(max_length=20)
    starts_at = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)
    seconds = models.DecimalField(max_digits=24, decimal_places=6, default=0)  # sums of floats would not stay the same
    waited_s = models.DecimalField(max_digits=24, decimal_places=6, default=0)

    class Meta:
        verbose_name_plural = "work tallies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["starts_at", "task", "outcome"], name="core_worktally_once"),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.outcome}"
