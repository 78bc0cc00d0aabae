"""Proves that what is past its last day expires with its requests for refills, and that those that wait are told of."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core.models import Alert, Clinic
from backend.apps.prescriptions import expiry, services
from backend.apps.prescriptions.models import Prescription, PrescriptionRefill
from backend.apps.prescriptions.tests.factories import make_prescription, make_refill
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def expired(days: int = 1, **over: Any) -> Prescription:
    """Save a prescription whose last day was so many days ago, still active unless `over` says otherwise."""
    today = Clinic.today()
    return make_prescription(
        prescribed_date=today - timedelta(days=days + 60), expiration_date=today - timedelta(days=days), **over
    )


def statuses(*rows: Any) -> list[str]:
    return [type(row).objects.get(pk=row.pk).status for row in rows]


def granted(prescription: Prescription) -> PrescriptionRefill:
    doctor = make_user("doctor")
    return make_refill(prescription=prescription, status="approved", approved_by=doctor, approved_at=timezone.now())


def test_what_is_past_its_last_day_expires_once_and_nothing_else() -> None:
    due = [expired(), expired(status="on_hold"), expired(days=40)]  # the last, after weeks of downtime
    kept = [expired(status="cancelled"), expired(0)]
    assert (expiry.expire_due(), expiry.expire_due()) == (3, 0)
    assert statuses(*due) == ["expired"] * 3
    assert statuses(*kept) == ["cancelled", "active"]
    assert expiry.expire_due(Clinic.today() + timedelta(days=1)) == 1


def test_requests_to_refill_what_expired_are_denied_with_the_reason_and_grants_called_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 1)
    asked, agreed, other = make_refill(prescription=expired()), granted(expired()), make_refill()
    assert expiry.expire_due() == 2
    assert statuses(asked, agreed, other) == ["denied", "cancelled", "requested"]
    asked.refresh_from_db()
    assert asked.denial_reason == "The prescription has expired; ask the doctor for a new one."


def test_a_sweep_that_dies_between_the_two_leaves_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    refill = make_refill(prescription=expired())

    def dies(_rows: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(expiry, "_end", dies)
    with pytest.raises(RuntimeError):
        expiry.expire_due()
    assert statuses(refill, refill.prescription) == ["requested", "active"]
    monkeypatch.undo()
    assert expiry.expire_due() == 1
    assert statuses(refill, refill.prescription) == ["denied", "expired"]


def test_a_request_that_slipped_in_at_the_last_moment_is_ended_by_the_next_sweep() -> None:
    refill = make_refill(prescription=expired(status="expired"))
    assert expiry.expire_due() == 0
    assert statuses(refill) == ["denied"]


@pytest.mark.django_db(transaction=True)
def test_a_request_somebody_has_in_hand_is_neither_ended_nor_waited_for() -> None:
    refill, counted = make_refill(prescription=expired()), list[int]()

    def sweep() -> None:
        counted.append(expiry.expire_due())
        connection.close()

    with transaction.atomic():
        row = PrescriptionRefill.objects.select_for_update().get(pk=refill.pk)
        services.withdraw(row, by=None)
        thread = threading.Thread(target=sweep)
        thread.start()
        thread.join(30)
    assert counted == [0]
    assert expiry.expire_due() == 1
    assert statuses(refill, refill.prescription) == ["cancelled", "expired"]


def waiting(hours: int, **over: Any) -> PrescriptionRefill:
    return make_refill(requested_date=timezone.now() - timedelta(hours=hours), **over)


def test_requests_that_wait_too_long_are_one_alert_for_each_prescriber_and_go_with_the_last() -> None:
    first = waiting(25)
    doctor = first.prescription.doctor
    second = waiting(100, prescription=make_prescription(doctor=doctor))
    waiting(23)
    waiting(25, status="denied")
    assert expiry.watch() == expiry.watch() == (1, 0)
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject_id, alert.times) == ("prescription_refills_waiting", str(doctor.pk), 1)
    assert alert.sentence.endswith(f"for doctor {doctor.pk}: 2.")  # whoever is on call gets it by mail: no name
    assert first.prescription.patient.last_name not in alert.sentence
    services.deny(first, by=None, reason="Come in first.")
    assert expiry.watch() == (1, 0)
    services.withdraw(second, by=None)
    assert expiry.watch() == (0, 1)
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_what_a_person_dismissed_is_told_again_with_the_next_request_only() -> None:
    row = waiting(48)
    expiry.watch()
    Alert.objects.update(resolved_at=timezone.now(), resolved_by=make_user("admin"))
    assert expiry.watch() == (0, 0)
    waiting(24, prescription=make_prescription(doctor=row.prescription.doctor))
    Alert.objects.update(opened_at=timezone.now() - timedelta(hours=2), resolved_at=timezone.now() - timedelta(hours=1))
    assert expiry.watch() == (1, 0)
