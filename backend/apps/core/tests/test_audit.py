"""Holds that the audit log can only grow, whoever tries otherwise."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, transaction

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core import audit
from backend.apps.core.models import AuditLog
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def refused(sql: str) -> None:
    with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_row_cannot_be_changed() -> None:
    row = audit.record(None, "retrieve", "patient")
    refused("UPDATE core_auditlog SET action = 'nothing'")
    with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic():
        AuditLog.objects.filter(pk=row.pk).update(action="nothing")
    assert AuditLog.objects.get(pk=row.pk).action == "retrieve"


def test_a_row_cannot_be_deleted() -> None:
    row = audit.record(None, "retrieve", "patient")
    refused("DELETE FROM core_auditlog")
    with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic():
        row.delete()
    assert AuditLog.objects.filter(resource_type="patient").count() == 1


def test_the_log_cannot_be_emptied() -> None:
    audit.record(None, "retrieve", "patient")
    refused("TRUNCATE core_auditlog CASCADE")
    assert AuditLog.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_test_can_be_cleaned_up() -> None:
    audit.record(None, "retrieve", "patient")
    assert AuditLog.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_and_leaves_nothing_behind() -> None:
    assert AuditLog.objects.count() == 0


def test_looking_at_a_row_names_the_patient_it_is_about() -> None:
    nurse, patient = make_user("nurse"), make_patient()
    visit = make_appointment(patient=patient)
    row = audit.log_phi_access(nurse, "download", visit, detail={"pages": 2})
    assert (row.user_id, row.action, row.resource_type) == (nurse.pk, "download", "appointment")
    assert (row.resource_id, row.patient_id, row.detail) == (str(visit.pk), patient.pk, {"pages": 2})
    assert audit.patient_of(patient) == patient.pk
    assert audit.patient_of(nurse) is None


def test_a_machine_and_an_unknown_caller_leave_rows_too() -> None:
    assert audit.record(None, "expire", "prescription").user_id is None
    assert audit.record(None, "login", "user", user=AnonymousUser()).user_id is None


def test_the_row_of_a_user_who_is_gone_stays() -> None:
    nurse = make_user("nurse")
    row = audit.record(None, "retrieve", "patient", user=nurse)
    User.all_objects.filter(pk=nurse.pk)._raw_delete(using="default")
    assert AuditLog.objects.get(pk=row.pk).user_id == nurse.pk


def test_words_from_outside_are_cut_to_what_the_columns_hold() -> None:
    row = audit.record(None, "a" * 500, "b" * 500, "c" * 500)
    assert (len(row.action), len(row.resource_type), len(row.resource_id)) == (60, 60, 64)
