"""Holds who answers for a critical result that was filed before anybody knew whose order it is of."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.laboratory import critical, services
from backend.apps.laboratory.models import CriticalResult, LabOrder
from backend.apps.laboratory.models.critical import Tier
from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_order,
    observation_in,
    order_in,
    report_in,
)
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def admin() -> User:
    User.objects.filter(role="admin").update(is_active=False)
    return make_user("admin")


def unasked(order: LabOrder, *, age: timedelta = timedelta()) -> CriticalResult:
    """File a critical result of the order's patient under the laboratory's number alone; it becomes an order's own."""
    value = observation_in(flag="critical_high", value="6.9", numeric=Decimal("6.9"))
    file(order, value, placer="", reported_at=timezone.now() - age)
    return CriticalResult.objects.get(patient=order.patient)


def linked(row: CriticalResult, order: LabOrder, **over: Any) -> CriticalResult:
    """File more of the panel, which says now whose order it is of."""
    file(order, observation_in(code="2951-2", **over), placer=order.order_number, reported_at=timezone.now())
    row.refresh_from_db()
    assert row.result.lab_order == order
    return row


def file(order: LabOrder, *observations: Any, **over: Any) -> None:
    services.file_report(make_inbound_message(), report_in(order.patient, order_in(*observations, **over)))


def paged(row: CriticalResult) -> list[Any]:
    return [page.recipient for page in row.pages.order_by("created_at", "pk")]


@pytest.mark.parametrize("treated", [False, True])
def test_who_ordered_it_is_paged_once_and_sees_it(treated: bool, admin: User) -> None:
    order = make_lab_order(status="ordered")
    if treated:
        make_appointment(patient=order.patient, appointment_datetime=timezone.now() - DAY, status="completed")
    row = unasked(order)
    first = row.doctor.user if row.doctor else admin
    linked(row, order)
    assert (row.doctor, row.status, row.tier) == (order.doctor, "open", Tier.DOCTOR)
    assert timedelta() < row.due_at - timezone.now() <= timedelta(minutes=15)
    assert "another order" in row.steps.order_by("at", "pk").last().note
    linked(row, order, status="corrected", flag="high")
    assert paged(row) == [first, order.doctor.user]
    api = client_for(order.doctor.user)
    assert api.post(f"/api/v1/critical-results/{row.pk}/acknowledge/", {"read_back": "6.9"}).status_code == 200


def test_what_was_read_back_stays_so_when_it_moves(admin: User) -> None:
    order = make_lab_order(status="ordered")
    row = unasked(order)
    critical.acknowledge(row, by=admin, read_back="6.9")
    linked(row, order)
    assert (row.status, row.acknowledged_by, paged(row)) == ("acknowledged", admin, [admin])


def test_an_old_one_gets_its_doctor_and_pages_nobody() -> None:
    order = make_lab_order(status="ordered")
    row = linked(unasked(order, age=4 * DAY), order)
    assert (row.doctor, row.due_at, paged(row)) == (order.doctor, None, [])
