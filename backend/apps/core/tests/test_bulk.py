"""Holds that many rows written in one statement are the rows that were meant, whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from backend.apps.core.bulk import copy_in, update_each
from backend.apps.core.work import settle_all
from backend.apps.laboratory.models import InboundMessage, LabFeed
from backend.apps.laboratory.tests.factories import make_inbound_message
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
TRICKY = 'tab\t back\\slash "quote" \\N\nline \u0142'


def feed(name: str, **over: Any) -> LabFeed:
    return LabFeed(name=name, sending_facility=name[:20], **over)


def test_what_is_copied_in_is_what_was_meant() -> None:
    rows = [feed(TRICKY, versions=["2.5.1"], silence_minutes=5), feed("plain", charset="8859/1")]
    copy_in(rows)
    for row in rows:
        stored = LabFeed.objects.get(pk=row.pk)
        for field in LabFeed._meta.concrete_fields:
            assert getattr(stored, field.attname) == getattr(row, field.attname), field.name
        assert not row._state.adding
    copy_in([])


def test_a_row_the_table_refuses_stops_the_copy() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        copy_in([feed("one"), feed("")])
    assert not LabFeed.objects.exists()


def test_each_row_gets_its_own_values_and_a_new_time_of_change() -> None:
    rows = [make_patient(first_name=name) for name in ("Ada", "Bea")]
    before = rows[0].updated_at
    for place, row in enumerate(rows):
        row.first_name, row.insurance_info, row.phone = f"{TRICKY}{place}", {"a": TRICKY}, "ignored"
    assert update_each(rows, ["first_name", "insurance_info"]) == 2
    for place, row in enumerate(Patient.objects.order_by("pk")):
        assert (row.first_name, row.insurance_info) == (f"{TRICKY}{place}", {"a": TRICKY})
        assert row.phone != "ignored"
        assert row.updated_at > before


def test_what_is_too_long_is_refused_and_never_cut() -> None:
    row = make_patient()
    row.first_name = "x" * 81
    with pytest.raises(DataError), transaction.atomic():
        update_each([row], ["first_name"])


def test_outcomes_of_several_shapes_are_written_only_under_their_lease() -> None:
    past = timezone.now() - timedelta(hours=1)
    for _ in range(3):
        make_inbound_message(due_at=past)
    one, two, lost = InboundMessage.work.lease(3)
    lost.lease_no -= 1
    patient = make_patient()
    told = [
        (one, {"status": "filed", "patient_id": patient.pk, "findings": [{"field": 5}]}),
        (two, {"status": "worklist", "status_reason": TRICKY}),
        (lost, {"status": "filed", "patient_id": None, "findings": []}),
    ]
    assert settle_all(told) == {one.pk, two.pk}
    rows = {row.pk: row for row in InboundMessage.objects.all()}
    assert (rows[one.pk].status, rows[one.pk].patient, rows[one.pk].findings) == ("filed", patient, [{"field": 5}])
    assert (rows[two.pk].status_reason, rows[two.pk].work_state) == (TRICKY, "done")
    assert (rows[lost.pk].status, rows[lost.pk].work_state) == ("received", "running")
