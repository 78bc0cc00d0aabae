"""Finds the order each reported panel belongs to; without this a result would answer no question, or the wrong one.

Whatever came first, the same messages end in the same orders: what they said about a panel is kept (`ReportedPanel`),
and its order follows from all of it. A panel sent under one of our order numbers is in that order; under another
system's number, in the order made for that number; without one, wherever the laboratory's number of it belongs, and if
that says nothing, in an order made for that number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from backend.apps.core.bulk import copy_in, update_each
from backend.apps.laboratory import critical
from backend.apps.laboratory.models import (
    FillerNumber,
    LabOrder,
    LabResult,
    LabSpecimen,
    LabTest,
    OrderPriority,
    ReportedPanel,
)
from backend.apps.laboratory.models.orders import next_order_numbers
from backend.apps.laboratory.reports import OrderIn, clean
from backend.apps.laboratory.statuses import FOLLOWED
from backend.apps.patients.models import Patient

URGENCY: dict[str, int] = {OrderPriority.ROUTINE: 0, OrderPriority.URGENT: 1, OrderPriority.STAT: 2}
NOTED = ("placer_order_number", "order_date", "specimen_collected_at", "priority")

Numbered = tuple[UUID, str, str]  # patient, sender, the laboratory's number


@dataclass(slots=True)
class Said:
    """What one message says of one panel. at: the earliest moment it gives for it."""

    patient: Patient
    sender: str
    order: OrderIn
    at: datetime
    test: LabTest | None = None

    @classmethod
    def again(cls, panel: ReportedPanel, patient: Patient) -> Said:
        """Return what is known of a panel already: saying it again only asks anew where the panel belongs."""
        known = OrderIn(filler=panel.number, code=panel.panel_code, text=panel.panel_text)
        return cls(patient, panel.sender, known, panel.ordered_at)

    @property
    def placer(self) -> str:
        return clean(self.order.placer)[:200]

    @property
    def key(self) -> Numbered:
        return self.patient.pk, self.sender, number_of(self.order)[:200]


def number_of(order: OrderIn) -> str:
    """Return what the laboratory knows this panel by; without any number, the panel and when it was collected."""
    collected = order.observed_at.isoformat() if order.observed_at else ""
    return clean(order.filler or order.placer or f"{order.code or order.text}@{collected}")


def strangers(orders: Iterable[OrderIn]) -> dict[str, UUID]:
    """Return whose the orders with our numbers are: patient by order number."""
    placers = {clean(order.placer)[:200] for order in orders} - {""}
    rows = LabOrder.objects.filter(order_number__in=sorted(placers)) if placers else LabOrder.objects.none()
    return dict(rows.values_list("order_number", "patient_id"))


def by_number(order: LabOrder) -> tuple[int, str]:
    """Return the place of an order of ours among others: LO9999999 comes before LO10000000."""
    return len(order.order_number), order.order_number


class Panels:
    """The panels some messages report, with everything on file that decides whose order they are.

    The caller holds the rows of the patients locked.
    """

    def __init__(self, said: list[Said]) -> None:
        self.touched: dict[UUID, LabOrder] = {}
        self.emptied: set[UUID] = set()  # orders a panel has left
        self._groups: dict[Numbered, dict[str, ReportedPanel]] = defaultdict(dict)
        self._fillers: dict[Numbered, FillerNumber] = {}
        self._made: list[LabOrder] = []
        self._moved: list[tuple[ReportedPanel, LabOrder]] = []
        self._changed: set[UUID] = set()
        if said:
            self._load(said)
            self._stood = {row.pk: _standing(row) for row in self._orders.values()}
            self.panels = [self._take(each) for each in said]
            for key in dict.fromkeys(each.key for each in said):
                self._resolve(key)

    def _load(self, said: list[Said]) -> None:
        keys = {each.key for each in said}
        alike = {"patient__in": {key[0] for key in keys}, "number__in": {key[2] for key in keys}}
        for row in ReportedPanel.objects.filter(**alike):
            self._groups[row.patient_id, row.sender, row.number][row.panel_code] = row
        for filler in FillerNumber.objects.filter(**alike):
            self._fillers[filler.patient_id, filler.sender, filler.number] = filler
        panels = [panel for group in self._groups.values() for panel in group.values()]
        placers = {each.placer for each in said} | {placer for panel in panels for placer in panel.placers}
        known = {panel.lab_order_id for panel in panels} | {filler.lab_order_id for filler in self._fillers.values()}
        self._load_orders({key[0] for key in keys}, placers - {""}, known)

    def _load_orders(self, patients: set[UUID], placers: set[str], known: set[UUID]) -> None:
        asked = Q(order_number__in=sorted(placers)) | Q(placer_order_number__in=sorted(placers)) | Q(pk__in=known)
        rows = LabOrder.objects.filter(asked, patient__in=patients) if placers or known else LabOrder.objects.none()
        self._orders = {row.pk: row for row in rows.order_by("pk").select_for_update(no_key=True)}
        self._ours: dict[tuple[UUID, str], LabOrder] = {}
        self._named: dict[tuple[UUID, str], LabOrder] = {}
        for row in reversed(self._orders.values()):
            if row.is_external:
                self._named[row.patient_id, row.placer_order_number] = row
            else:
                self._ours[row.patient_id, row.placer_order_number] = row
        self._ours.update(
            {(row.patient_id, row.order_number): row for row in self._orders.values() if not row.is_external}
        )

    def _take(self, said: Said) -> ReportedPanel:
        """Return the panel, with what this message adds to it."""
        key, code = said.key, clean(said.order.code)[:200]
        panel = self._groups[key].get(code)
        if panel is None:
            panel = ReportedPanel(
                patient_id=key[0], sender=key[1], number=key[2], panel_code=code, ordered_at=said.at, placers=[]
            )
            self._groups[key][code] = panel
        stood = _noted(panel)
        panel.ordered_at = min(panel.ordered_at, said.at)
        panel.collected_at = min(filter(None, (panel.collected_at, said.order.observed_at)), default=None)
        panel.priority = max(panel.priority, said.order.priority, key=lambda word: URGENCY.get(word, -1))
        panel.panel_text = min(filter(None, (panel.panel_text, clean(said.order.text))), default="")
        if said.placer and said.placer not in panel.placers:
            panel.placers = sorted([*panel.placers, said.placer])
        if panel.lab_test_id is None and said.test is not None:
            panel.lab_test = said.test
        if _noted(panel) != stood:
            self._changed.add(panel.pk)
        ours = self._ours.get((key[0], said.placer)) if said.placer else None
        if ours is not None:
            self.touched[ours.pk] = ours
        return panel

    def _resolve(self, key: Numbered) -> None:
        group, filler = self._groups[key], self._fillers.get(key)
        claimed = {placer for panel in group.values() for placer in panel.placers}
        held = self._orders.get(filler.lab_order_id) if filler else None
        if held is not None and not held.is_external:
            claimed.add(held.order_number)
        whole = self._home(key, claimed)
        for panel in group.values():
            self._place(panel, self._home(key, set(panel.placers)) if panel.placers else whole)
        if filler is None:
            self._fillers[key] = FillerNumber(patient_id=key[0], sender=key[1], number=key[2], lab_order=whole)
        elif filler.lab_order_id != whole.pk:
            filler.lab_order = whole
            self._changed.add(filler.pk)

    def _home(self, key: Numbered, claimed: set[str]) -> LabOrder:
        """Return the order of a panel sent under the numbers `claimed`: the first of several, whichever came."""
        ours = [row for placer in claimed if (row := self._ours.get((key[0], placer))) is not None]
        if ours:
            return min(ours, key=by_number)
        nameless = self._nameless(key)
        if not claimed:
            return nameless or self._make(key, "")
        name = min(claimed)
        row = self._named.get((key[0], name))
        if row is None and nameless is not None:
            row, nameless.placer_order_number = nameless, name
        return self._named.setdefault((key[0], name), row or self._make(key, name))

    def _nameless(self, key: Numbered) -> LabOrder | None:
        """Return the order that was made for this number of the laboratory alone, if there is one."""
        rows: list[FillerNumber | ReportedPanel] = list(self._groups[key].values())
        rows += [self._fillers[key]] if key in self._fillers else []
        found = [self._orders.get(row.lab_order_id) for row in rows if row.lab_order_id]
        return next((row for row in found if row and row.is_external and not row.placer_order_number), None)

    def _make(self, key: Numbered, name: str) -> LabOrder:
        first = min(self._groups[key].values(), key=lambda panel: panel.ordered_at)
        row = LabOrder(
            patient_id=key[0], is_external=True, order_date=first.ordered_at, placer_order_number=name, order_number="-"
        )
        self._orders[row.pk] = row
        self._made.append(row)
        return row

    def _place(self, panel: ReportedPanel, order: LabOrder) -> None:
        self.touched[order.pk] = order
        left = self._orders.get(panel.lab_order_id) if panel.lab_order_id else None
        if left is not None and left.pk != order.pk:
            self._moved.append((panel, left))
            self._changed.add(panel.pk)
            self.touched[left.pk] = left
            self.emptied.add(left.pk)
        panel.lab_order = order
        if order.is_external:
            _note(order, panel)

    def save(self) -> None:
        """Write the panels, their numbers and what moved; the orders themselves wait for their status."""
        panels = [panel for group in self._groups.values() for panel in group.values()]
        fillers = list(self._fillers.values())
        anew = self._told_anew(panels)
        old_panels, old_fillers = ([row for row in rows if not row._state.adding] for rows in (panels, fillers))
        copy_in([panel for panel in panels if panel._state.adding])
        copy_in([filler for filler in fillers if filler._state.adding])
        update_each(
            [panel for panel in old_panels if panel.pk in self._changed],
            ["lab_order", "lab_test", "placers", "ordered_at", "collected_at", "priority", "panel_text"],
        )
        update_each([row for row in old_fillers if row.pk in self._changed], ["lab_order"])
        self._order_tests(panels)
        for panel, left in self._moved:
            self._move(panel, left)
        if anew:
            LabOrder.all_objects.filter(pk__in=anew).update(updated_at=timezone.now())
        for order in {panel.lab_order_id: panel.lab_order for panel, _ in self._moved}.values():
            critical.follow(order)

    def _told_anew(self, panels: list[ReportedPanel]) -> set[UUID]:
        """Return the orders on file that have other panels now, or tell by what was said anew of theirs."""
        said = (row for row in panels if row._state.adding or row.pk in self._changed)
        told = {row.lab_order_id for row in said if row.lab_order.is_external}
        moved = {key for panel, left in self._moved for key in (panel.lab_order_id, left.pk)}
        return (told | moved) - {row.pk for row in self._made}

    def _order_tests(self, panels: list[ReportedPanel]) -> None:
        """Let an order nobody placed name the tests of its panels."""
        link = LabOrder.tests.through
        wanted = {
            (each.lab_order_id, each.lab_test_id) for each in panels if each.lab_test_id and each.lab_order.is_external
        }
        rows = [link(laborder_id=order, labtest_id=test) for order, test in sorted(wanted)]
        if rows:
            link.objects.bulk_create(rows, ignore_conflicts=True)

    def _move(self, panel: ReportedPanel, left: LabOrder) -> None:
        """Take what was reported of a panel along to its order; an order made for it alone goes when it is empty."""
        for model in (LabResult, LabSpecimen):
            moved = model.all_objects.filter(panel=panel, lab_order=left)
            moved.update(lab_order=panel.lab_order_id, updated_at=timezone.now())
        if not left.is_external:
            return
        stay = list(ReportedPanel.objects.filter(lab_order=left).select_related("lab_test"))
        if stay:
            note_again(left, stay)
        elif not left.is_deleted:
            rest = LabResult.all_objects.filter(lab_order=left)
            rest.update(lab_order=panel.lab_order_id, updated_at=timezone.now())
            left.delete()
            self.touched.pop(left.pk, None)

    def save_orders(self) -> None:
        """Write the orders that were made or changed; their status has been settled."""
        made = [row for row in self._made if row.pk in self.touched]
        for row, number in zip(made, next_order_numbers(len(made)), strict=True):
            row.order_number = number
        copy_in(made)
        update_each(
            [row for row in self.touched.values() if row.pk in self._stood and _standing(row) != self._stood[row.pk]],
            [*NOTED, *FOLLOWED],
        )


def _note(order: LabOrder, panel: ReportedPanel) -> None:
    """Note on an order nobody here placed the earliest and the most urgent of what was said."""
    order.order_date = min(order.order_date, panel.ordered_at)
    order.specimen_collected_at = min(filter(None, (order.specimen_collected_at, panel.collected_at)), default=None)
    if URGENCY[panel.priority] > URGENCY[order.priority]:
        order.priority = panel.priority


def note_again(order: LabOrder, panels: list[ReportedPanel]) -> None:
    """Let an order nobody here placed tell of the panels it still has. The caller saves it."""
    order.order_date, order.specimen_collected_at = panels[0].ordered_at, None
    order.priority = OrderPriority.ROUTINE
    for panel in panels:
        _note(order, panel)
    order.tests.set([panel.lab_test for panel in panels if panel.lab_test])


def _noted(panel: ReportedPanel) -> tuple[Any, ...]:
    return (
        panel.ordered_at, panel.collected_at, panel.priority, panel.panel_text, tuple(panel.placers), panel.lab_test_id,
    )  # fmt: skip


def _standing(order: LabOrder) -> tuple[Any, ...]:
    names = (*NOTED, *(f"{name}_id" if name == "reviewed_by" else name for name in FOLLOWED))
    return tuple(getattr(order, name) for name in names)
