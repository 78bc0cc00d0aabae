"""Holds when an order is late, that it is told once, and that what comes or is called off clears it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.laboratory import overdue
from backend.apps.laboratory.models import LabOrder
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_result, make_lab_test
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def waiting(hours: float = 25, **over: Any) -> LabOrder:
    """Save an order that was placed some hours ago; each of its tests takes 24 hours unless it says otherwise."""
    placed = timezone.now() - timedelta(hours=hours)
    return make_lab_order(**{"status": "ordered", "order_date": placed, **over})


def late() -> set[Any]:
    return {order.pk for order in overdue.orders()}


@pytest.mark.parametrize(
    ("hours", "fields", "expected"),
    [
        (25, {}, True),
        (23, {}, False),
        (25, {"status": "pending"}, False),
        (25, {"status": "specimen_collected"}, True),
        (25, {"status": "in_progress"}, True),
        (25, {"status": "completed"}, False),
        (25, {"status": "cancelled"}, False),
        (25, {"tests": []}, False),
    ],
)
def test_an_order_on_its_way_is_late_when_the_turnaround_of_a_test_has_passed(
    hours: float, fields: dict[str, Any], expected: bool
) -> None:
    assert (waiting(hours, **fields).pk in late()) is expected


def test_the_turnaround_counts_from_when_the_specimen_was_taken() -> None:
    order = waiting(48, status="specimen_collected", specimen_collected_at=timezone.now() - timedelta(hours=23))
    assert late() == set()
    LabOrder.objects.filter(pk=order.pk).update(specimen_collected_at=timezone.now() - timedelta(hours=25))
    assert late() == {order.pk}


def test_each_test_has_its_own_turnaround() -> None:
    slow = make_lab_test(turnaround_time_hours=72)
    assert waiting(71, tests=[slow]).pk not in late()
    assert waiting(73, tests=[slow]).pk in late()


@pytest.mark.parametrize(
    ("fields", "answered"),
    [
        ({"status": "final"}, True),
        ({"status": "corrected"}, True),
        ({"status": "cancelled"}, True),
        ({"status": "preliminary"}, False),
        ({"status": "final", "is_current": False}, False),
    ],
)
def test_only_a_settled_current_result_answers_a_test(fields: dict[str, Any], answered: bool) -> None:
    order = waiting(status="in_progress")
    make_lab_result(lab_order=order, **fields)
    assert (order.pk not in late()) is answered


@pytest.mark.parametrize("by", ["panel_code", "code_as_sent"])
def test_a_result_under_the_code_of_the_test_or_panel_answers_it_too(by: str) -> None:
    panel = make_lab_test()
    order = waiting(tests=[panel], status="in_progress")
    make_lab_result(lab_order=order, lab_test=None, **{"code_as_sent": "X", by: panel.test_code})
    assert late() == set()


def test_an_order_tells_which_of_its_tests_are_late() -> None:
    done, missing = make_lab_test(), make_lab_test()
    order = waiting(tests=[done, missing], status="in_progress")
    make_lab_result(lab_order=order, lab_test=done)
    api = client_for(make_user("nurse"))
    assert api.get(f"/api/v1/lab-orders/{order.pk}/").data["overdue_tests"] == [str(missing.pk)]
    on_time = waiting(1)
    rows = {row["id"]: row["overdue_tests"] for row in api.get("/api/v1/lab-orders/").data["results"]}
    assert rows == {str(order.pk): [str(missing.pk)], str(on_time.pk): []}


def test_a_late_order_is_told_once_by_its_number_and_nothing_else() -> None:
    order = waiting()
    assert (overdue.watch(), overdue.watch()) == ((1, 0), (0, 0))
    alert = Alert.objects.get()
    assert (alert.subject_id, alert.kind, alert.times) == (str(order.pk), "lab_result_overdue", 1)
    assert order.order_number in alert.sentence
    for private in (order.patient.last_name, order.patient.medical_record_number, order.tests.get().test_name):
        assert private not in alert.sentence


@pytest.mark.parametrize("happens", ["result", "cancelled", "deleted"])
def test_what_comes_or_is_called_off_clears_the_alert(happens: str) -> None:
    order, other = waiting(status="in_progress"), waiting()
    overdue.watch()
    if happens == "result":
        make_lab_result(lab_order=order)
    elif happens == "cancelled":
        order.cancel("not needed", by=make_user("doctor"))
    else:
        order.delete()
    assert overdue.watch() == (0, 1)
    assert [alert.cause for alert in Alert.objects.filter(resolved_at=None)] == [overdue.cause(other.pk)]


def test_what_a_person_dismissed_is_not_told_again() -> None:
    waiting()
    overdue.watch()
    alerts.resolve(Alert.objects.get(), by=make_user("admin"))
    assert overdue.watch() == (0, 0)


def test_a_look_that_dies_in_the_middle_days_late_is_followed_by_one_that_tells_the_rest_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hours in (25, 24 * 9):
        waiting(hours)
    open_once, opened = alerts.open_once, list[str]()

    def dies(cause: str, **told: Any) -> Alert:
        if opened:
            raise RuntimeError
        opened.append(cause)
        return open_once(cause, **told)

    monkeypatch.setattr(alerts, "open_once", dies)
    with pytest.raises(RuntimeError):
        overdue.watch()
    assert Alert.objects.count() == 1
    monkeypatch.undo()
    assert [overdue.watch() for _ in range(2)] == [(1, 0), (0, 0)]
    assert list(Alert.objects.values_list("times", flat=True)) == [1, 1]


def test_dismissed_orders_leave_room_for_new_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "AT_ONCE", 2)
    for hours in (50, 49):
        waiting(hours)
    overdue.watch()
    for alert in Alert.objects.all():
        alerts.resolve(alert, by=make_user("admin"))
    orders = [waiting(hours) for hours in (48, 47, 46)]
    assert [overdue.watch() for _ in range(3)] == [(2, 0), (1, 0), (0, 0)]
    assert {alert.subject_id for alert in Alert.objects.filter(resolved_at=None)} == {str(one.pk) for one in orders}


def test_what_is_dismissed_is_looked_up_once_for_all_orders() -> None:
    with CaptureQueriesContext(connection) as none:
        overdue.watch()
    for _ in range(5):
        waiting()
    overdue.watch()
    for alert in Alert.objects.all():
        alerts.resolve(alert, by=make_user("admin"))
    with CaptureQueriesContext(connection) as many:
        assert overdue.watch() == (0, 0)
    assert len(many) <= len(none) + 1


def test_the_look_reads_the_open_orders_by_their_index_and_costs_the_same_for_many() -> None:
    for _ in range(3):
        waiting()
    overdue.watch()
    with CaptureQueriesContext(connection) as few:
        overdue.watch()
    for _ in range(10):
        waiting()
    overdue.watch()
    with CaptureQueriesContext(connection) as many:
        assert overdue.watch() == (0, 0)
    assert len(many) == len(few)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        assert "laborder_awaited" in overdue.orders().explain()
