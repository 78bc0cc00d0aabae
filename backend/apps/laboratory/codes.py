"""Finds the test a laboratory's code means: by our own mapping, by LOINC, else not at all; and keeps the mappings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from backend.apps.laboratory import critical, statuses
from backend.apps.laboratory.models import (
    CodeSystem,
    LabCodeMapping,
    LabFeed,
    LabOrder,
    LabResult,
    LabTest,
    ReportedPanel,
)
from backend.apps.patients.models import Patient

LOINC_NAMES = {"LN", "LOINC", "HTTP://LOINC.ORG"}

Meaning = tuple[LabTest | None, LabCodeMapping | None]
NO_MEANING: Meaning = (None, None)
BATCH = 1000


class Codes:
    """What a set of codes means, read in two queries."""

    def __init__(self, codes: Iterable[str]) -> None:
        asked = sorted({clean for code in codes if (clean := code.replace("\x00", ""))})
        tests = LabTest.objects.filter(test_code__in=asked)
        self._tests = {test.test_code: test for test in tests}
        mappings = LabCodeMapping.objects.filter(code__in=asked, is_current=True).select_related("lab_test")
        self._mappings = {(row.feed_id, row.code, row.system.upper()): row for row in mappings}
        self._known: dict[tuple[Any, ...], Meaning] = {}

    def meaning(self, feed_id: UUID | None, *triplets: tuple[str, str]) -> Meaning:
        """Return the test of the first of the (code, system) pairs that has one, and the mapping that says so."""
        asked = (feed_id, triplets)
        if asked not in self._known:
            self._known[asked] = self._mapped(feed_id, triplets) or self._named(triplets)
        return self._known[asked]

    def _mapped(self, feed_id: UUID | None, triplets: Iterable[tuple[str, str]]) -> Meaning | None:
        if not self._mappings:
            return None
        for code, system in triplets:
            for feed in (feed_id, None):
                for named in (system.strip().upper(), ""):
                    if (row := self._mappings.get((feed, code, named))) is not None:
                        return row.lab_test, row
        return None

    def _named(self, triplets: Iterable[tuple[str, str]]) -> Meaning:
        """Return the test of this very code, unless the message says the code is of another system."""
        for code, system in triplets:
            test, name = self._tests.get(code), system.strip().upper()
            if test and (not name or (name in LOINC_NAMES) == (test.code_system == CodeSystem.LOINC)):
                return test, None
        return NO_MEANING


@transaction.atomic
def map_code(*, by: Any, lab_test: LabTest, code: str, system: str = "", feed: LabFeed | None = None) -> LabCodeMapping:
    """Say what a sender's code means, from now on and in every result on file that has no test yet.

    An earlier meaning stays as an earlier version, and results that were filed by it stay as they are. Saying the same
    again changes nothing.
    """
    code, system = code.strip(), system.strip()
    rows = LabCodeMapping.objects.select_for_update().filter(feed=feed, code=code, system=system)
    before = rows.order_by("-version").first()
    if before is None or not before.is_current or before.lab_test_id != lab_test.pk:
        rows.filter(is_current=True).update(is_current=False)
        row = LabCodeMapping(feed=feed, code=code, system=system, lab_test=lab_test, created_by=by)
        row.version = before.version + 1 if before else 1
        row.full_clean()
        row.save()
    else:
        row = before
    _apply(row)
    return row


def _apply(mapping: LabCodeMapping) -> None:
    """Name the test in what is on file already, patient by patient in one order, and let their orders follow."""
    results, panels = _unnamed(mapping)
    orders = {*results.values_list("lab_order", flat=True), *panels.values_list("lab_order", flat=True)}
    patients = LabOrder.objects.filter(pk__in=orders).values_list("patient", flat=True)
    charts = Patient.all_objects.select_for_update(no_key=True).filter(pk__in=list(patients)).order_by("pk")
    list(charts.values_list("pk", flat=True))
    touched = LabOrder.objects.select_for_update(no_key=True).filter(pk__in=orders).order_by("pk").in_bulk()
    named = list(results.filter(lab_order__in=orders).values_list("pk", flat=True))
    now = timezone.now()
    LabResult.all_objects.filter(pk__in=named).update(lab_test=mapping.lab_test_id, mapping=mapping, updated_at=now)
    reported = dict(panels.filter(lab_order__in=orders).values_list("pk", "lab_order"))
    ReportedPanel.objects.filter(pk__in=reported).update(lab_test=mapping.lab_test_id)
    link, of_panels = LabOrder.tests.through, set(reported.values())
    unasked = [row.pk for row in touched.values() if row.is_external and row.pk in of_panels]
    rows = [link(laborder_id=pk, labtest_id=mapping.lab_test_id) for pk in unasked]
    link.objects.bulk_create(rows, ignore_conflicts=True)
    LabOrder.all_objects.filter(pk__in=unasked).update(updated_at=now)
    statuses.follow_all(touched.values())
    _notice(named)


def _unnamed(mapping: LabCodeMapping) -> tuple[QuerySet[LabResult], QuerySet[ReportedPanel]]:
    """Return the results and panels without a test that filing would name by this mapping, now that it is known."""
    by_code, by_other = Q(code_as_sent=mapping.code), Q(other_code_as_sent=mapping.code)
    if mapping.system:
        by_code &= Q(code_system_as_sent__iexact=mapping.system)
        by_other &= Q(other_system_as_sent__iexact=mapping.system)
    unnamed = LabResult.all_objects.filter(lab_test__isnull=True, source_message__isnull=False)
    results, panels = unnamed.filter(by_code | by_other), ReportedPanel.objects.filter(panel_code=mapping.code)
    if mapping.feed_id:
        results = results.filter(source_message__feed=mapping.feed_id)
        panels = panels.filter(results__source_message__feed=mapping.feed_id)
    return results, panels.filter(lab_test__isnull=True)


def _notice(named: Sequence[UUID]) -> None:
    """Page for what is critical by the bounds of its test, now that it has one; what was paged for before is known."""
    rows = LabResult.objects.filter(is_current=True, critical_result__isnull=True)
    for start in range(0, len(named), BATCH):
        some = rows.filter(pk__in=named[start : start + BATCH])
        critical.notice(list(some.select_related("lab_order__doctor", "lab_test")))
