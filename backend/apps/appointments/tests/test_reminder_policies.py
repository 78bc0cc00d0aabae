"""Holds who writes the table of reminders, what it refuses, and that planned visits change only when asked."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.appointments import reminder_policies, reminders
from backend.apps.appointments.models import AppointmentReminder, ReminderPolicy
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder_policy
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db

URL = "/api/v1/reminder-policies/"


class TestContract(ApiContract):
    url = URL
    stranger = "pharmacist"

    def make(self) -> ReminderPolicy:
        return make_reminder_policy()


def test_the_table_of_a_new_clinic_is_what_holds_without_one() -> None:
    rows = ReminderPolicy.objects.order_by("pk")
    assert sorted(map(repr, map(reminder_policies.rule_of, rows))) == sorted(map(repr, reminder_policies.DEFAULTS))
    migration = import_module("backend.apps.appointments.migrations.0003_default_policies")
    assert rows.count() == len(migration.DEFAULTS)


def test_the_desk_reads_the_table_and_the_administrator_writes_it() -> None:
    body = {"offset_hours": 48, "channel": "email", "appointment_type": "lab_work"}
    assert client_for(make_user("receptionist")).get(URL).status_code == 200
    assert client_for(make_user("receptionist")).post(URL, body).status_code == 403
    assert client_for(make_user("receptionist")).post(f"{URL}replan/", {}).status_code == 403
    admin = client_for(make_user("admin"))
    made = admin.post(URL, body)
    assert made.status_code == 201, made.data
    changed = admin.patch(f"{URL}{made.data['id']}/", {"offset_hours": 36})
    assert (changed.status_code, changed.data["offset_hours"]) == (200, 36)
    assert admin.delete(f"{URL}{made.data['id']}/").status_code == 204


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"offset_hours": 0}, "at least one hour before"),
        ({"offset_hours": 500}, "240"),
        ({"wording": "no_show"}, "not those of a reminder"),
        ({"wording": "soon", "offset_hours": 48}, "at most 24 hours"),
        ({"order": 0}, "from 1 to 9"),
        ({"channel": "push"}, "not a valid choice"),
        ({"appointment_type": "", "offset_hours": 0, "offset_days": 1, "channel": "sms"}, "already"),
        ({"appointment_type": "", "offset_hours": 72, "channel": "sms", "order": 1}, "same order"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    body = {"appointment_type": "lab_work", "offset_hours": 48, "channel": "email", **fields}
    answer = client_for(make_user("admin")).post(URL, body)
    assert answer.status_code in (400, 422), answer.data
    assert sentence in str(answer.data)
    assert not ReminderPolicy.objects.filter(appointment_type="lab_work").exists()


def test_a_change_into_nonsense_leaves_the_row() -> None:
    row = make_reminder_policy(offset_hours=100)
    answer = client_for(make_user("admin")).patch(f"{URL}{row.pk}/", {"wording": "soon"})
    assert answer.status_code == 422
    row.refresh_from_db()
    assert row.wording == "reminder"


def test_a_change_of_the_table_reaches_planned_visits_only_when_asked_and_is_counted_first() -> None:
    start = timezone.now() + timedelta(days=20)
    rows = [
        make_appointment(patient=make_reachable_patient(), appointment_datetime=start + timedelta(hours=place))
        for place in range(3)
    ]
    assert reminders.plan_all(rows, now=timezone.now()) == 12
    admin = client_for(make_user("admin"))
    week = ReminderPolicy.objects.get(offset_days=7)
    assert admin.patch(f"{URL}{week.pk}/", {"is_active": False}).status_code == 200
    admin.post(URL, {"offset_days": 10, "channel": "email"})
    counted = admin.post(f"{URL}replan/", {})
    told = {"dry_run": True, "visits": 3, "added": 3, "moved": 0, "taken_back": 3, "kept": 0, "after": None}
    assert counted.data == told
    assert AppointmentReminder.objects.filter(offset_minutes=10080, status="pending").count() == 3
    assert admin.post(f"{URL}replan/", {"dry_run": False}).data == {**told, "dry_run": False}
    assert AppointmentReminder.objects.filter(offset_minutes=10080, status="pending").count() == 0
    assert AppointmentReminder.objects.filter(offset_minutes=14400, status="pending").count() == 3
    assert admin.post(f"{URL}replan/", {"dry_run": False}).data["added"] == 0


def test_planning_anew_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "CHUNK", 2)
    for _ in range(3):
        make_appointment(patient=make_reachable_patient())
    admin = client_for(make_user("admin"))
    first = admin.post(f"{URL}replan/", {"dry_run": False}).data
    second = admin.post(f"{URL}replan/", {"dry_run": False, "after": first["after"]}).data
    assert [(part["visits"], part["added"]) for part in (first, second)] == [(2, 8), (1, 4)]
    assert second["after"] is None
