"""Finds the patient and the order a report belongs to; without this a result could land in the wrong chart.

It never guesses and never makes a patient: what does not fit goes to the worklist, with the reason.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q

from backend.apps.laboratory.models import FillerNumber, InboundMessage, LabOrder, LabResult, LabTest, OrderPriority
from backend.apps.laboratory.reports import OrderIn, PatientIn, ReportIn
from backend.apps.patients.models import Patient

URGENCY: dict[str, int] = {OrderPriority.ROUTINE: 0, OrderPriority.URGENT: 1, OrderPriority.STAT: 2}


class Unmatched(Exception):
    """A person has to decide where this belongs; the reason is a sentence without patient data."""


def patient_of(who: PatientIn) -> Patient:
    """Return the one patient of this record number and birth date, locked, so that one message at a time is filed.

    Raises:
        Unmatched: nobody, several, or somebody the rest of the message does not fit.
    """
    numbers = {number.strip().upper() for number, _ in who.identifiers} - {""}
    if not numbers:
        raise Unmatched("The message names no record number.")
    found = list(
        Patient.all_objects.select_for_update(no_key=True)
        .filter(medical_record_number__in=sorted(numbers))
        .order_by("pk")
    )
    if not found:
        raise Unmatched("No patient has this record number.")
    if len(found) > 1:
        raise Unmatched("The record numbers in the message belong to different patients.")
    _refuse_stranger(found[0], who)
    return found[0]


def _refuse_stranger(patient: Patient, who: PatientIn) -> None:
    if patient.is_deleted:
        raise Unmatched("The patient of this record number has been removed or merged.")
    family, given = who.family_name.strip().casefold(), who.given_name.strip().casefold()
    same_family, same_given = family == patient.last_name.casefold(), given == patient.first_name.casefold()
    if who.birth_date is None and not same_family:
        raise Unmatched("The message has no date of birth, and the name does not fit the record number.")
    if who.birth_date is not None and who.birth_date != patient.date_of_birth:
        raise Unmatched("The date of birth does not fit the record number.")
    if family and given and not (same_family or same_given):
        raise Unmatched("The name does not fit the record number.")


def number_of(order: OrderIn) -> str:
    """Return what the laboratory knows this panel by; without any number, the panel and when it was collected."""
    collected = order.observed_at.isoformat() if order.observed_at else ""
    return order.filler or order.placer or f"{order.code or order.text}@{collected}"


class Orders:
    """The orders one message is about: ours by our number, others by the laboratory's; those of neither are made.

    Which messages came before makes no difference: an order made for an unasked result is joined to ours as soon as a
    message carries both numbers, and what is noted on it is the earliest, or the most urgent, of all that was said.
    """

    def __init__(self, patient: Patient, message: InboundMessage, report: ReportIn) -> None:
        self.patient, self.message, self.report = patient, message, report
        self.sender = message.sender[:250]
        self.placers = self._by_placer({order.placer for order in report.orders} - {""})
        self.fillers = self._by_filler({number_of(order)[:200] for order in report.orders})
        self.found: list[LabOrder] = []

    def find_all(self) -> list[LabOrder]:
        """Return the order of each panel of the report, made or joined if need be, with what the message adds to it."""
        for order in self.report.orders:
            self.found.append(self._find(order))
        return self.found

    def _find(self, order: OrderIn) -> LabOrder:
        number, placer = number_of(order)[:200], order.placer[:200]
        row = self._known(placer, number) or LabOrder(
            patient=self.patient, is_external=True, order_date=self._when(order)
        )
        stood = _noted(row)
        if row.is_external:
            self._note(row, self._when(order), order.observed_at, order.priority)
        if placer and placer != row.order_number and not row.placer_order_number:
            row.placer_order_number = placer
        if row._state.adding or _noted(row) != stood:
            row.save()
        if row.is_external and order.code:
            self._order_tests(row, LabTest.objects.filter(test_code=order.code).values_list("pk", flat=True))
        if number not in self.fillers:
            FillerNumber.objects.create(lab_order=row, patient=self.patient, sender=self.sender, number=number)
            self.fillers[number] = row
        if placer:
            self.placers[placer] = row
        return row

    def _by_placer(self, numbers: set[str]) -> dict[str, LabOrder]:
        ours = Q(order_number__in=numbers) | Q(placer_order_number__in=numbers, patient=self.patient)
        found: dict[str, LabOrder] = {}
        for row in LabOrder.objects.filter(ours) if numbers else LabOrder.objects.none():
            if row.patient_id != self.patient.pk:
                raise Unmatched("The order number in the message belongs to another patient's order.")
            found[row.order_number] = row
            if row.placer_order_number:
                found[row.placer_order_number] = row
        return found

    def _by_filler(self, numbers: set[str]) -> dict[str, LabOrder]:
        rows = FillerNumber.objects.filter(patient=self.patient, sender=self.sender, number__in=numbers)
        known = {row.pk: row for row in self.placers.values()}
        return {
            row.number: known.get(row.lab_order_id, row.lab_order)
            for row in rows.select_related("lab_order").order_by("pk")
        }

    def _known(self, placer: str, number: str) -> LabOrder | None:
        asked, seen = self.placers.get(placer), self.fillers.get(number)
        if asked is None:
            other = seen is not None and seen.is_external and seen.placer_order_number not in {"", placer}
            return None if placer and other else seen
        if seen is None or seen.pk == asked.pk:
            return asked
        if seen.is_external and seen.placer_order_number in {"", placer}:
            return self._join(seen, into=asked)
        if asked.is_external and not seen.is_external:
            return self._join(asked, into=seen)
        return asked

    def _join(self, external: LabOrder, *, into: LabOrder) -> LabOrder:
        """Move everything of an order that was made for an unasked result to the order it turns out to belong to."""
        LabResult.all_objects.filter(lab_order=external).update(lab_order=into)
        FillerNumber.objects.filter(lab_order=external).update(lab_order=into)
        if into.is_external:
            self._note(into, external.order_date, external.specimen_collected_at, external.priority)
            self._order_tests(into, external.tests.values_list("pk", flat=True))
        into.placer_order_number = into.placer_order_number or external.placer_order_number
        external.delete()
        self.found[:] = [into if row.pk == external.pk else row for row in self.found]
        for book in (self.placers, self.fillers):
            book.update({name: into for name, row in book.items() if row.pk == external.pk})
        return into

    @staticmethod
    def _note(row: LabOrder, ordered_at: datetime, collected_at: datetime | None, priority: str) -> None:
        row.order_date = min(row.order_date, ordered_at)
        row.specimen_collected_at = min(filter(None, (row.specimen_collected_at, collected_at)), default=None)
        if URGENCY.get(priority, 0) > URGENCY[row.priority]:
            row.priority = priority

    @staticmethod
    def _order_tests(row: LabOrder, tests: Any) -> None:
        link = LabOrder.tests.through
        link.objects.bulk_create([link(laborder_id=row.pk, labtest_id=test) for test in tests], ignore_conflicts=True)

    def _when(self, order: OrderIn) -> datetime:
        """Return the earliest moment this message gives for `order`."""
        moments = (order.observed_at, order.reported_at, self.report.sent_at)
        return min(filter(None, moments), default=self.message.received_at)


def _noted(row: LabOrder) -> tuple[Any, ...]:
    return row.order_date, row.specimen_collected_at, row.priority, row.placer_order_number
