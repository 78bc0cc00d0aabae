"""Proves that a renewal that is filed ends the ladder of the one before, and that taking it back takes it up again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.apps.core.models import Clinic
from backend.apps.credentials import ladder
from backend.apps.credentials.models import CredentialAlert
from backend.apps.credentials.tests.factories import lapsing
from backend.apps.employees import filing
from backend.apps.employees.tests.factories import PDF, make_employee_credential
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def open_alerts(row: Any) -> list[int]:
    alerts = CredentialAlert.objects.filter(closed_at=None, **{f"{row.HOLDER}_credential": row})
    return list(alerts.values_list("tier", flat=True))


@pytest.mark.parametrize("kind", ["doctor", "employee"])
def test_the_renewal_that_a_holder_uploads_closes_the_ladder(kind: str, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT, today = tmp_path, Clinic.today()
    ends = today + timedelta(days=30)
    row = lapsing(30) if kind == "doctor" else make_employee_credential(expiry_date=ends)
    ladder.raise_due(today)
    assert open_alerts(row) == [30]
    form = {"issue_date": today, "expiry_date": ends + timedelta(days=700)}
    document = SimpleUploadedFile("new.pdf", PDF)
    url = f"/api/v1/{kind}-credentials/{row.pk}/renew/"
    answer = client_for(row.holder.user).post(url, {**form, "document": document}, format="multipart")
    assert answer.status_code == 200, answer.data
    row.refresh_from_db()
    assert (open_alerts(row), row.next_alert_on) == ([], None)
    assert CredentialAlert.objects.get().closed_because == "renewed"


def test_a_renewal_that_is_rejected_or_deleted_leaves_the_ladder_where_it_was() -> None:
    row, admin, today = lapsing(30), make_user(role="admin"), Clinic.today()
    ladder.raise_due(today)
    fields = {"issue_date": today, "expiry_date": today + timedelta(days=700)}
    filing.reject(filing.renew(row, by=admin, **fields), by=admin, reason="Not signed.")
    ladder.raise_due(today)
    assert open_alerts(row) == [30]
    filing.renew(row, by=admin, **{**fields, "number": "another"}).delete()
    ladder.raise_due(today)
    assert open_alerts(row) == [30]
    assert CredentialAlert.objects.count() == 1
