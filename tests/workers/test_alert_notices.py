"""Holds that each alert is in one notice that tells all of it, whoever writes, leases, fails or dies at that moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core import alerts, on_call
from backend.apps.core.models import Alert, AlertNotice
from backend.apps.interop import work_kinds
from backend.apps.users.tests.factories import make_user
from integrations.doubles.sendgrid import SendGridDouble
from tests.workers.alerting import CRITICAL, FIRST, MINUTE, NOON, SECOND, due, tell, texts
from tests.workers.rows import elsewhere, run_out
from workers import sweep
from workers.alerts import notify_due, remind

pytestmark = pytest.mark.django_db


def test_of_an_alert_whose_notice_was_lost_with_its_worker_another_mail_tells(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell()
    (row,) = AlertNotice.work.lease(1)
    row.begin()
    assert remind() == "planned 0", "while the worker may live"
    run_out(row)
    assert sweep.hold_lost() == "held 1"
    AlertNotice.work.update(updated_at=NOON)
    assert [remind(), remind()] == ["planned 1", "planned 0"]
    assert notify_due() == "1 done"
    assert [remind(), len(mails.sent)] == ["planned 0", 1]


@pytest.mark.parametrize("ended", ["permanent", "unknown"])
def test_a_person_who_sends_a_notice_again_reaches_all_but_those_who_were_told(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates, ended: str
) -> None:
    settings.ON_CALL = (FIRST, SECOND)
    tell()
    (row,) = AlertNotice.work.lease(1)
    row.hold("the outcome is unknown")
    AlertNotice.work.update(told={FIRST: ended, SECOND: "sent"})
    assert work_kinds.retry([row], by=make_user("admin")) == (1, {work_kinds.MOVED: 0})
    due()
    assert notify_due() == "1 done"
    assert [mail.to for mail in mails.sent] == [FIRST]


def test_what_becomes_critical_while_its_mail_leaves_is_told_by_the_next_one_whoever_takes_it_over(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell()
    (row,) = AlertNotice.work.lease(1)
    read_at, told = timezone.now(), on_call.gather(row)
    clock.shift(MINUTE)
    worse = tell(severity=CRITICAL)
    clock.shift(MINUTE)
    on_call.note_told(told, read_at)
    alerts.acknowledge(worse, by=make_user("admin"))
    assert on_call.gather(AlertNotice.work.exclude(pk=row.pk).get()) == [worse]


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
def test_a_notice_that_another_worker_takes_up_keeps_its_alerts(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell("one")
    clock.shift(5 * MINUTE)
    tell("two")
    (row,), taken = AlertNotice.work.lease(1), list[Alert]()
    with transaction.atomic():
        (other,) = AlertNotice.work.lease(1)
        elsewhere(lambda: taken.extend(on_call.gather(row)))
    assert [one.cause for one in taken] == ["one"]
    assert [one.cause for one in on_call.gather(other)] == ["two"]


def half_told(mails: SendGridDouble, settings: Any) -> None:
    """Let one of two be told and the mail to the other be refused for now."""
    settings.ON_CALL = (FIRST, SECOND)
    tell()
    mails.fail_next(429)
    assert notify_due() == "1 waiting"


def test_each_address_is_written_to_once_however_often_the_provider_fails(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates
) -> None:
    settings.ON_CALL = (FIRST, SECOND, FIRST)
    tell()
    mails.fail_next(429)
    assert notify_due() == "1 waiting"
    assert AlertNotice.work.get().told == {SECOND: "sent"}
    due()
    assert notify_due() == "1 done"
    assert [mail.to for mail in mails.sent] == [SECOND, FIRST]
    assert (AlertNotice.work.get().recipients, Alert.objects.get(cause="one").tellings) == (2, 1)


def test_an_alert_that_found_a_half_told_notice_is_told_to_all(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates
) -> None:
    half_told(mails, settings)
    clock.shift(5 * MINUTE)
    tell("later")
    due()
    while notify_due() != "nothing due":
        pass
    assert sorted(mail.to for mail in mails.sent if "later" in mail.text) == [FIRST, SECOND]
    assert sorted(mail.to for mail in mails.sent if "one" in mail.text) == [FIRST, SECOND]


def test_what_becomes_critical_while_its_notice_is_half_told_is_told_to_all(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates
) -> None:
    half_told(mails, settings)
    clock.shift(5 * MINUTE)
    tell(severity=CRITICAL)
    due()
    while notify_due() != "nothing due":
        due()
    assert sorted(mail.to for mail in mails.sent if "Critical" in mail.text) == [FIRST, SECOND]


def test_an_address_that_takes_all_the_time_keeps_no_other_from_being_told_and_is_given_up(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.alerts.BUDGET_S", -1.0)
    settings.ON_CALL = (FIRST, SECOND)
    tell()
    mails.fail_next(429)
    assert notify_due() == "1 waiting"
    due()
    assert notify_due() == "1 released"
    assert [mail.to for mail in mails.sent] == [SECOND]
    mails.fail_next(429, times=7)
    for ended in (*["waiting"] * 6, "failed"):
        due()
        assert notify_due() == f"1 {ended}"


def test_a_lost_answer_is_held_and_the_others_hear_all_the_same(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates
) -> None:
    settings.ON_CALL = (FIRST, SECOND)
    tell()
    mails.fail_next(drop=True, accepted=True)
    assert notify_due() == "1 held"
    assert AlertNotice.work.get().told == {FIRST: "unknown", SECOND: "sent"}
    AlertNotice.work.back_in_line(AlertNotice.work.get().pk)
    due()
    assert notify_due() == "1 held"
    assert [mail.to for mail in mails.sent] == [FIRST, SECOND], "nobody is written to twice"


def test_a_worker_that_dies_in_the_middle_leaves_it_to_a_person(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates
) -> None:
    settings.ON_CALL = (FIRST, SECOND)
    tell()
    (row,) = AlertNotice.work.lease(1)
    row.begin()
    AlertNotice.work.filter(pk=row.pk).update(told={FIRST: "sent"})
    run_out(row)
    assert notify_due() == "nothing due"
    assert sweep.hold_lost() == "held 1"
    AlertNotice.work.back_in_line(row.pk)
    due()
    assert notify_due() == "1 done"
    assert [mail.to for mail in mails.sent] == [SECOND]


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
def test_an_alert_that_is_written_while_its_notice_falls_due_is_told_later_and_no_writer_waits(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell("one")
    with transaction.atomic():
        tell("slow")
        elsewhere(lambda: tell("quick"))  # would hang if it waited for us
        assert AlertNotice.work.count() == 1
        elsewhere(notify_due)
        assert mails.sent == [], "the notice is not taken while somebody still writes to it"
    notify_due()
    assert all(name in texts(mails)[0] for name in ("one", "slow", "quick"))


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
def test_an_alert_that_somebody_writes_stays_with_its_notice_and_neither_waits_for_the_other(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell("written")
    clock.shift(5 * MINUTE)
    tell("quiet")
    clock.shift(5 * MINUTE)
    tell("mine")
    mine, taken = Alert.objects.get(cause="mine").notice, list[Alert]()
    AlertNotice.work.filter(pk=mine.pk).update(work_state="running")
    with transaction.atomic():
        Alert.objects.filter(cause="written").update(last_seen_at=NOON)
        elsewhere(lambda: taken.extend(on_call.gather(mine)))
        assert [one.cause for one in taken] == ["quiet", "mine"]
        tell("written", severity=CRITICAL)
    assert notify_due() == "1 done"
    assert texts(mails)[0].startswith("Critical: Trouble written.")


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
def test_two_that_plan_at_once_wait_for_each_other_not_and_end_as_one_mail(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    both = threading.Barrier(2)

    def write(cause: str) -> None:
        with transaction.atomic():
            tell(cause)
            both.wait(10)
        connection.close()

    writers = [threading.Thread(target=write, args=(cause,)) for cause in ("left", "right")]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert on_call.addresses() == (FIRST,)
    assert [notify_due(), notify_due()] == ["1 done", "1 not needed"]
    assert len(mails.sent) == 1
