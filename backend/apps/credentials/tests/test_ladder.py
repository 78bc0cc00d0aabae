"""Proves that a tier is told once, the most urgent one after a gap, and what ends or begins a ladder."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from backend.apps.core.sealed import written
from backend.apps.credentials import ladder, policies
from backend.apps.credentials.models import CredentialAlert, CredentialNotice, CredentialPolicy
from backend.apps.credentials.tests.factories import lapsing
from backend.apps.doctors.models import DoctorCredential
from backend.apps.doctors.tests.factories import make_credential, make_doctor
from backend.apps.employees.tests.factories import make_employee, make_employee_credential
from backend.apps.users import services as users
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once, wait_until_waited_for

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 10)


def day(count: int) -> date:
    return TODAY + timedelta(days=count)


def ahead(days: int, **over: Any) -> DoctorCredential:
    return lapsing(days, today=TODAY, **over)


def told(credential: Any) -> list[tuple[int, str]]:
    """Return the tiers told of, in order, with why each was closed; an empty word is one that is open."""
    return list(credential.alerts.order_by("opened_at", "-tier").values_list("tier", "closed_because"))


def notices(credential: Any) -> list[tuple[int, str]]:
    rows = CredentialNotice.objects.filter(alert__in=credential.alerts.all())
    return list(rows.order_by("-alert__tier", "audience").values_list("alert__tier", "audience"))


@pytest.mark.parametrize("make", [lapsing, None], ids=["of a doctor", "of an employee"])
def test_each_credential_is_told_of_by_the_most_urgent_tier_it_has_reached(make: Any) -> None:
    expected = {91: None, 90: 90, 61: 90, 60: 60, 31: 60, 30: 30, 14: 14, 8: 14, 7: 7, 2: 7, 1: 1, 0: 0, -1: 0, -6: 0,
                -7: -7, -13: -7, -14: -14, -400: -399}  # fmt: skip
    holder = make_doctor(licensed=False) if make else make_employee()
    if make:
        rows = {days: ahead(days, doctor=holder) for days in expected}
    else:
        rows = {days: make_employee_credential(employee=holder, expiry_date=day(days)) for days in expected}
    assert ladder.raise_due(TODAY)["raised"] == len(expected) - 1
    assert {days: told(row) for days, row in rows.items()} == {
        days: [] if tier is None else [(tier, "")] for days, tier in expected.items()
    }


def test_a_second_sweep_of_the_day_writes_nothing() -> None:
    row = ahead(30)
    ladder.raise_due(TODAY)
    stored = list(CredentialAlert.objects.values()), list(CredentialNotice.objects.values())
    row.refresh_from_db()
    assert row.next_alert_on == day(16)
    assert not +ladder.raise_due(TODAY)
    assert (list(CredentialAlert.objects.values()), list(CredentialNotice.objects.values())) == stored


def test_daily_sweeps_tell_each_tier_on_its_day() -> None:
    row, days = ahead(100), {}
    for count in (9, 10, 11, 39, 40, 69, 70, 85, 86, 92, 93, 98, 99, 100, 101, 106, 107, 108, 113, 114, 121, 128):
        if ladder.raise_due(day(count))["raised"]:
            days[count] = row.alerts.get(closed_at=None).tier
    assert days == {10: 90, 40: 60, 70: 30, 86: 14, 93: 7, 99: 1, 100: 0, 107: -7, 114: -14, 121: -21, 128: -28}
    assert row.alerts.exclude(closed_because="followed").count() == 1


def test_three_days_of_downtime_send_one_notice() -> None:
    row = ahead(8)
    ladder.raise_due(TODAY)
    assert ladder.raise_due(day(8))["raised"] == 1  # 7, 1 and 0 have passed meanwhile
    assert told(row) == [(14, "followed"), (0, "")]
    assert [tier for tier, audience in notices(row) if audience == "holder"] == [14, 0]


def test_a_sweep_that_dies_half_way_goes_on_where_it_was() -> None:
    rows = [ahead(days) for days in (30, 29, 28, 27, 26)]
    died = ladder.chunks(TODAY, chunk=2)
    assert next(died)["raised"] == 2
    died.close()
    assert ladder.raise_due(TODAY, chunk=2)["raised"] == 3
    assert [told(row) for row in rows] == [[(30, "")]] * 5
    assert CredentialNotice.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_tell_once() -> None:
    doctor = make_doctor(licensed=False)
    for days in range(40):
        ahead(days, doctor=doctor)
    sweep = lambda: ladder.raise_due(TODAY, chunk=3)  # noqa: E731  # the same job thrice
    assert at_once(sweep, sweep, sweep) == ["done"] * 3
    ladder.raise_due(TODAY)
    assert CredentialAlert.objects.count() == 40
    assert CredentialNotice.objects.filter(audience="holder").count() == 40


def test_renewal_ends_the_ladder_and_a_rejected_renewal_gives_it_back_without_telling_again() -> None:
    row = ahead(20)
    ladder.raise_due(TODAY)
    renewed = ahead(400, doctor=row.doctor)
    row.replaced_by = renewed
    row.save()
    assert told(row) == [(30, "renewed")]
    assert not +ladder.raise_due(day(20))
    renewed.reject(make_user("admin"), "not legible")
    assert ladder.raise_due(TODAY)["reopened"] == 1
    assert told(row) == [(30, "")]
    assert notices(row) == [(30, "holder")]
    renewed.unverify()
    renewed.save()
    assert told(row) == [(30, "renewed")]
    renewed.delete()
    assert ladder.raise_due(day(7))["raised"] == 1
    assert told(row) == [(30, "renewed"), (14, "")]


def cancelled() -> None:
    """What a worker does with e-mails of steps that are closed when they are due."""
    CredentialNotice.work.exclude(alert__closed_at=None).filter(status="pending").update(
        status="not_needed", work_state="done"
    )


def taken_back(row: DoctorCredential) -> None:
    row.unverify()
    row.save()


@pytest.mark.parametrize("because", ["renewed", "rejected"])
def test_who_was_not_told_of_a_step_before_it_closed_is_when_it_opens_again(because: str) -> None:
    row, admin = ahead(10), make_user("admin")
    renewed = ahead(400, doctor=row.doctor)
    ladder.raise_due(TODAY)
    if because == "renewed":
        DoctorCredential.objects.filter(pk=row.pk).update(replaced_by=renewed)
        cancelled()
        renewed.reject(admin, "not legible")
    else:
        row.reject(admin, "not legible")
        cancelled()
        taken_back(row)
    assert ladder.raise_due(TODAY)["told"] == 1
    assert told(row) == [(14, "")]
    assert sorted(CredentialNotice.objects.values_list("status", flat=True)) == ["not_needed", "pending"]
    row.reject(admin, "not legible")
    taken_back(row)
    assert ladder.raise_due(TODAY)["told"] == 0  # the one that waits tells of it


def test_a_rejected_credential_is_on_no_ladder() -> None:
    row, admin = ahead(20), make_user("admin")
    ladder.raise_due(TODAY)
    row.reject(admin, "not legible")
    row.refresh_from_db()
    assert (told(row), row.next_alert_on) == ([(30, "withdrawn")], None)
    policies.set_policy(by=None, credential_type="state_license", tiers=[90, 21])
    users.deactivate(row.doctor.user, by=admin, reason="on leave")
    users.reactivate(row.doctor.user, by=admin)
    assert not +ladder.raise_due(day(19))
    taken_back(row)
    assert ladder.raise_due(day(10))["raised"] == 1  # by the rules of by now


def test_a_credential_given_to_another_person_is_told_to_that_one() -> None:
    row, other = ahead(20), make_doctor(licensed=False)
    first = row.doctor.user_id
    ladder.raise_due(TODAY)
    CredentialNotice.work.update(status="sent", sent_at=timezone.now(), work_state="done")
    row.doctor = other
    row.save()
    assert told(row) == [(30, "withdrawn")]
    ladder.raise_due(TODAY)
    assert told(row) == [(30, "")]
    assert list(CredentialNotice.objects.order_by("id").values_list("recipient", "status")) == [
        (first, "sent"), (other.user_id, "pending"),
    ]  # fmt: skip


def test_a_corrected_expiry_begins_a_new_ladder() -> None:
    row = ahead(20)
    ladder.raise_due(TODAY)
    row.expiry_date = day(25)
    row.save()
    assert told(row) == [(30, "withdrawn")]
    ladder.raise_due(TODAY)
    assert sorted(row.alerts.values_list("expiry_date", "tier", "closed_because")) == [
        (day(20), 30, "withdrawn"), (day(25), 30, ""),
    ]  # fmt: skip
    row.expiry_date = None
    row.save()
    row.refresh_from_db()
    assert row.next_alert_on is None


def test_a_deleted_credential_is_told_of_no_more() -> None:
    row = ahead(20)
    ladder.raise_due(TODAY)
    row.delete()
    assert told(row) == [(30, "withdrawn")]
    assert not +ladder.raise_due(day(19))
    DoctorCredential.all_objects.filter(pk=row.pk).restore()
    assert ladder.raise_due(day(19))["raised"] == 1


def test_who_saves_a_whole_row_that_was_read_earlier_does_not_move_the_next_look() -> None:
    row = ahead(30)
    assert row.next_alert_on is None  # as it was made
    ladder.raise_due(TODAY)
    row.number = "corrected"
    row.save()
    row.refresh_from_db()
    assert row.next_alert_on == day(16)


def test_days_that_nobody_can_have_meant_stop_no_sweep() -> None:
    rows = [make_credential(issue_date=date(1, 1, 1), expiry_date=expiry) for expiry in (date(1, 1, 2), date.max)]
    other = ahead(5)
    ladder.raise_due(TODAY)
    assert told(other) == [(7, "")]
    assert told(rows[0]) == [(-32767, "")]
    assert told(rows[1]) == []
    assert not ladder.raise_due(day(7))["reopened"]


def test_types_have_tiers_of_their_own() -> None:
    dea = {"credential_type": "dea", "tiers": [180, 45], "weekly_after": False}
    policies.set_policy(by=None, **dea)
    rows = [ahead(days, credential_type="dea") for days in (181, 180, 46, 45, 0, -30)]
    licence = ahead(180)
    ladder.raise_due(TODAY)
    assert [told(row) for row in rows] == [[], [(180, "")], [(180, "")], [(45, "")], [(45, "")], [(45, "")]]
    assert told(licence) == []
    rows[4].refresh_from_db()
    assert rows[4].next_alert_on is None


def test_rules_that_change_are_applied_by_the_next_sweep_without_telling_again() -> None:
    early, late, past, gone = ahead(150), ahead(20), ahead(-20), ahead(20)
    policy = policies.set_policy(by=None, credential_type="state_license", tiers=[90, 30, 0], weekly_after=False)
    ladder.raise_due(TODAY, chunk=1)
    gone.delete()
    policies.change(policy, by=None, tiers=[180, 90, 21], weekly_after=True)
    ladder.raise_due(TODAY, chunk=1)
    assert told(early) == [(180, "")]
    assert told(late) == [(30, "followed"), (21, "")]
    assert told(past) == [(0, "followed"), (-14, "")]
    assert told(gone) == [(30, "withdrawn")]
    policies.change(policy, by=None, tiers=[90])
    assert not ladder.raise_due(TODAY)["raised"]
    policy.delete()
    assert not ladder.raise_due(TODAY)["raised"]
    assert told(late) == [(30, "followed"), (21, "")]
    assert ladder.apply_policies(TODAY) == 0
    assert not CredentialPolicy.all_objects.filter(applied_to=None).exists()


@pytest.mark.django_db(transaction=True)
def test_rules_are_applied_beside_who_writes_to_several_credentials() -> None:
    rows = sorted((ahead(20) for _ in range(3)), key=lambda row: row.pk)
    policies.set_policy(by=None, credential_type="state_license", tiers=[30])
    stored, held = DoctorCredential.objects, threading.Event()

    def renewing() -> None:
        with transaction.atomic():
            stored.filter(pk=rows[2].pk).update(**written(DoctorCredential, rows[2].pk, number="2"))
            held.set()
            wait_until_waited_for()
            stored.filter(pk=rows[0].pk).update(rejected_at=timezone.now(), rejection_reason="x")

    def applying() -> None:
        assert held.wait(30)
        ladder.apply_policies(TODAY)

    assert at_once(applying, renewing) == ["done"] * 2
    assert [stored.get(pk=row.pk).next_alert_on for row in rows] == [None, TODAY, TODAY]


def test_who_has_left_is_told_of_nothing_and_is_again_when_back() -> None:
    row, boss = ahead(20), make_user("admin")
    ladder.raise_due(TODAY)
    users.deactivate(row.doctor.user, by=boss, reason="on leave")
    assert ladder.raise_due(day(1))["withdrawn"] == 1
    assert told(row) == [(30, "withdrawn")]
    assert not ladder.raise_due(day(10))["raised"]
    users.reactivate(row.doctor.user, by=boss)
    assert ladder.raise_due(day(10))["raised"] == 1
    assert told(row) == [(30, "withdrawn"), (14, "")]


def test_an_employee_whose_work_ended_is_told_of_nothing() -> None:
    nurse = make_employee()
    row = make_employee_credential(employee=nurse, expiry_date=day(20))
    nurse.terminate()
    assert ladder.raise_due(TODAY)["raised"] == 0
    assert told(row) == []


def test_the_day_begins_at_six_by_the_clock_of_the_clinic() -> None:
    before, after = (timezone.datetime(2026, 3, 10, hour, 5, tzinfo=ladder.Clinic().zone) for hour in (5, 6))
    assert (ladder.day_of(before), ladder.day_of(after)) == (day(-1), TODAY)
