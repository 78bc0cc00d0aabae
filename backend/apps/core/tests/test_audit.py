"""Holds that the audit log can only grow, whoever tries otherwise."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from backend.apps.core import audit
from backend.apps.core.models import AuditLog

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
    with connection.cursor() as cursor:  # undone with this test's transaction; see tests/support/plugin.py
        cursor.execute("ALTER TABLE core_auditlog ENABLE TRIGGER core_auditlog_no_truncate")
    refused("TRUNCATE core_auditlog CASCADE")
    assert AuditLog.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_test_can_be_cleaned_up() -> None:
    audit.record(None, "retrieve", "patient")
    assert AuditLog.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_and_leaves_nothing_behind() -> None:
    assert AuditLog.objects.count() == 0
