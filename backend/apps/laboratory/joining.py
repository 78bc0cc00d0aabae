"""Joins what laboratories reported of two records of one person; without it half of it would stay in a lost order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.utils import timezone

from backend.apps.core.bulk import update_each
from backend.apps.laboratory import critical, statuses, versions
from backend.apps.laboratory.models import (
    CriticalResult,
    DroppedFinding,
    FillerNumber,
    LabOrder,
    LabResult,
    LabSpecimen,
    ReportedPanel,
)
from backend.apps.laboratory.panels import URGENCY, Panels, Said, by_number, note_again
from backend.apps.patients.models import Patient

OUSTED = "A version of the other record took its place when the records were merged."

Orders = dict[UUID, UUID]  # of each current result


@contextmanager
def joined(patient: Patient, into: Patient) -> Iterator[None]:
    """Around the move of everything of `patient` to `into`: first make room, then find every panel's order again.

    The chart ends as if all of it had been reported of `into`. The caller holds the rows of both patients locked.
    """
    both = LabOrder.all_objects.select_for_update(no_key=True).filter(patient__in=[patient, into]).order_by("pk")
    list(both.values_list("pk", flat=True))
    before, moved = _orders(patient, into), _keys(patient)
    _join_numbers(patient, into)
    left = [_join(gone, stays) for gone, stays in _twins(ReportedPanel, patient, into, "panel_code")]
    yield
    _notice(before.keys() - _orders(into).keys())
    _find_again(into)
    for order in LabOrder.objects.filter(pk__in=left, is_external=True).order_by("pk"):
        _note_again(order)
    _settle(before, _orders(into))
    for model, keys in moved.items():
        model.all_objects.filter(pk__in=keys).update(updated_at=timezone.now())  # whose it is has changed


def _keys(patient: Patient) -> dict[Any, list[UUID]]:
    """Return what is of the patient by its order alone: results and specimens."""
    return {
        model: list(model.all_objects.filter(lab_order__patient=patient).values_list("pk", flat=True))
        for model in (LabResult, LabSpecimen)
    }


def _orders(*patients: Patient) -> Orders:
    rows = LabResult.objects.filter(lab_order__patient__in=patients, is_current=True).order_by()
    return dict(rows.values_list("pk", "lab_order_id"))


def _twins(model: Any, patient: Patient, into: Patient, *names: str) -> list[tuple[Any, Any]]:
    """Return what both records have under the same number: of each the row that goes, and the one that stays."""
    name_of, rows = attrgetter("sender", "number", *names), model.objects.select_related("lab_order")
    there = {name_of(row): row for row in rows.filter(patient=into)}
    return [(row, there[name_of(row)]) for row in rows.filter(patient=patient) if name_of(row) in there]


def _join_numbers(patient: Patient, into: Patient) -> None:
    """Keep a number both are known by once: for our own order before one nobody placed, then for the first of them."""
    twins = _twins(FillerNumber, patient, into)
    for gone, stays in twins:
        first = min(gone.lab_order, stays.lab_order, key=_rank)
        if first != stays.lab_order:
            stays.lab_order = first
            stays.save(update_fields=["lab_order"])
    FillerNumber.objects.filter(pk__in=[gone.pk for gone, _ in twins]).delete()


def _rank(order: LabOrder) -> tuple[Any, ...]:
    return order.is_external, *by_number(order)


def _join(gone: ReportedPanel, stays: ReportedPanel) -> UUID:
    """Give everything of one panel to the other, the same one of the other record; return the order it leaves."""
    dropped = versions.join(LabResult.all_objects.filter(panel=stays), LabResult.all_objects.filter(panel=gone))
    now = timezone.now()
    DroppedFinding.objects.bulk_create(
        DroppedFinding(result_key=key, patient_id=stays.patient_id, dropped_at=now) for key in dropped
    )
    _join_specimens(gone, stays)
    for model in (LabResult, LabSpecimen):
        model.all_objects.filter(panel=gone).update(panel=stays, lab_order=stays.lab_order_id)
    stays.placers = sorted({*stays.placers, *gone.placers})
    stays.ordered_at = min(stays.ordered_at, gone.ordered_at)
    stays.collected_at = min(filter(None, (stays.collected_at, gone.collected_at)), default=None)
    stays.priority = max(stays.priority, gone.priority, key=URGENCY.__getitem__)
    stays.panel_text = min(filter(None, (stays.panel_text, gone.panel_text)), default="")
    stays.lab_test_id = stays.lab_test_id or gone.lab_test_id
    stays.save()
    gone.delete()
    return gone.lab_order_id


def _join_specimens(gone: ReportedPanel, stays: ReportedPanel) -> None:
    """Remove of each specimen both have what was said earlier; see `specimens.place`."""
    there = {row.specimen_id: row for row in LabSpecimen.all_objects.filter(panel=stays)}
    pairs = [(row, there.get(row.specimen_id)) for row in LabSpecimen.all_objects.filter(panel=gone)]
    older = [min(one, other, key=attrgetter("said_at", "digest")) for one, other in pairs if other is not None]
    for row in older:
        row.specimen_id = f"once {row.specimen_id}"[:160] + f" {row.pk}"  # its number is that of the other alone
        row.is_deleted, row.deleted_at = True, timezone.now()
    update_each(older, ["specimen_id", "is_deleted", "deleted_at"])


def _notice(ousted: Collection[UUID]) -> None:
    """Let the version that took another's place answer for it: what is critical is paged for once, and not left out."""
    keys = LabResult.all_objects.filter(pk__in=ousted).values("result_key")
    current = LabResult.objects.filter(result_key__in=keys, is_current=True)
    own = dict(CriticalResult.objects.filter(result__in=current).values_list("result__result_key", "status"))
    critical.notice([row for row in current.select_related("lab_order", "lab_test") if row.result_key not in own])
    stands = CriticalResult.objects.filter(result__in=ousted, status__in=critical.STANDS).order_by("pk")
    for row in stands.filter(result__result_key__in=[key for key, status in own.items() if status in critical.STANDS]):
        critical.close(row, OUSTED)


def _find_again(patient: Patient) -> None:
    """Ask anew where each panel belongs, now that more is known of the person."""
    panels = Panels([Said.again(row, patient) for row in ReportedPanel.objects.filter(patient=patient).order_by("pk")])
    panels.save()
    panels.save_orders()


def _note_again(order: LabOrder) -> None:
    """Let an order tell of the panels it still has; without anything in it, it goes."""
    panels = list(order.reported_panels.select_related("lab_test"))
    if not panels:
        if not order.results.exists():
            order.delete()
        return
    note_again(order, panels)
    order.save(update_fields=["order_date", "specimen_collected_at", "priority", "updated_at"])


def _settle(before: Orders, after: Orders) -> None:
    """Let the orders that won or lost results follow them; what was won asks for another look."""
    won = {order for pk, order in after.items() if before.get(pk) != order}
    lost = {order for pk, order in before.items() if after.get(pk) != order}
    rows = LabOrder.objects.select_for_update(no_key=True).filter(pk__in=won | lost).order_by("pk")
    statuses.follow_all(rows, emptied=lost, renewed=won)
