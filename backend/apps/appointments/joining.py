"""Makes two records of one person one in the book of visits; without it they would be due, and be called, twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from backend.apps.appointments import recalls
from backend.apps.appointments.models import Appointment, Recall, WaitlistEntry
from backend.apps.appointments.models.recalls import LIVE
from backend.apps.patients.models import Patient


def lock(patients: Collection[Any]) -> None:
    """Lock what everybody else locks before a patient: who books, confirms or takes an offer would be a deadlock.

    They lock the wish or the visit, then the doctor, then the patient.
    """
    for model in (WaitlistEntry, Appointment):
        rows = model._base_manager.filter(patient__in=patients).order_by("pk")
        list(rows.select_for_update(no_key=True).values_list("pk"))


@contextmanager
def joined(patient: Patient, into: Patient) -> Iterator[None]:
    """Around the move of everything of `patient` to `into`: dismiss what both are due for, and what asks for it."""
    live = Recall.objects.filter(status__in=LIVE)
    for recall in live.filter(
        patient=patient, appointment_type__in=live.filter(patient=into).values("appointment_type")
    ):
        recalls.dismiss(recall, by=None)
    yield
