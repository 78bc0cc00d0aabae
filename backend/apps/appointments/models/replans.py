"""Visits somebody held while their patient changed; without these rows one that was then left alone stays unplanned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.appointments.models.visits import Appointment
from backend.apps.core.bases import UUIDModel, uuid7_text
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class ReplanRequest(UUIDModel, WorkItem):
    """One visit to plan anew, once whoever holds it has let go. Each change asks anew: planning may have begun."""

    task_name: ClassVar[str] = "reminders.replan"
    replay_safe: ClassVar[bool] = True

    appointment = models.ForeignKey(Appointment, editable=False, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="appointments_replan_work_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [*work_indexes("replan_request")]

    @classmethod
    def ask(cls, visits: Iterable[Any]) -> None:
        """Let a worker plan these visits after this transaction."""
        for key in visits:
            cls.work.enqueue(dedupe_key=f"replan:{key}:{uuid7_text()}", appointment_id=key)
