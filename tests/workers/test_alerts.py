"""Holds that whoever is on call hears of what begins, once and in few mails, and again of what nobody looks after."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction

from backend.apps.core import alerts, on_call
from backend.apps.core.models import Alert, AlertNotice, Heartbeat
from backend.apps.interop import work_kinds
from backend.apps.messaging import senders
from backend.apps.users.tests.factories import make_user
from integrations.doubles.sendgrid import SendGridDouble
from tests.workers.rows import elsewhere, run_out
from workers import gateways, sweep
from workers.alerts import notify_due, remind

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # long past by the database's clock, so every notice is due
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FIRST, SECOND = "first@oncall.example.org", "second@oncall.example.org"
CRITICAL, INFO = Alert.Severity.CRITICAL, Alert.Severity.INFO


@pytest.fixture
def mails(settings: Any, rung: list[str]) -> Iterator[SendGridDouble]:
    settings.ON_CALL, settings.EMAIL_TRANSPORT = (FIRST,), "sendgrid"
    settings.SENDGRID_API_KEY, settings.SENDGRID_FROM = "SG.key", "relay@example.org"
    with SendGridDouble() as double:
        settings.SENDGRID_BASE_URL = double.url
        yield double


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(NOON, tick=False) as travel:
        yield travel


def tell(cause: str = "one", **over: Any) -> Alert:
    return alerts.open_once(cause, **{"kind": "test_trouble", "sentence": f"Trouble {cause}.", **over})


def due() -> None:
    AlertNotice.work.update(due_at=NOON)  # `now()` of the database is when the test began


def texts(mails: SendGridDouble) -> list[str]:
    return [mail.text for mail in mails.sent]


def test_a_storm_is_one_mail_with_the_worst_first_and_a_link(
    mails: SendGridDouble, clock: time_machine.Coordinates, settings: Any
) -> None:
    for number in range(22):
        tell(f"{number}")
        clock.shift(timedelta(seconds=5))
    tell("worst", severity=CRITICAL)
    tell("only for information", severity=INFO)
    assert AlertNotice.work.get().due_at == NOON + 2 * MINUTE
    assert notify_due() == "1 done"
    (mail,) = mails.sent
    assert (mail.to, mail.subject) == (FIRST, "Clinic: critical: 23 alerts")
    assert mail.text.startswith("Critical: Trouble worst.\n\nWarning: Trouble 0.\n\n")
    assert mail.text.endswith(f"And 3 more.\n\n{settings.PUBLIC_BASE_URL}/console/alerts/\n")
    assert "information" not in mail.text
    assert mail.headers["Auto-Submitted"] == "auto-generated"
    notice = AlertNotice.work.get()
    assert (notice.recipients, notice.told, notice.sent_at) == (1, {FIRST: "sent"}, NOON + 110 * timedelta(seconds=1))
    assert notify_due() == "nothing due"


def test_the_same_trouble_seen_again_is_not_news(mails: SendGridDouble, clock: time_machine.Coordinates) -> None:
    for _ in range(3):
        tell()
        notify_due()
        clock.shift(5 * MINUTE)
    assert len(mails.sent) == AlertNotice.work.count() == 1


def test_what_went_away_meanwhile_is_not_told(mails: SendGridDouble, clock: time_machine.Coordinates) -> None:
    tell("gone")
    tell("stays")
    alerts.clear("gone")
    notify_due()
    assert "gone" not in texts(mails)[0]
    clock.shift(5 * MINUTE)
    tell("another")
    alerts.clear("another")
    assert notify_due() == "1 not needed"
    assert len(mails.sent) == 1


def test_what_becomes_critical_is_told_again(mails: SendGridDouble, clock: time_machine.Coordinates) -> None:
    tell()
    notify_due()
    clock.shift(5 * MINUTE)
    tell(severity=CRITICAL)
    tell(severity=CRITICAL)
    notify_due()
    assert [text.split(":")[0] for text in texts(mails)] == ["Warning", "Critical"]


def test_what_comes_and_goes_is_told_three_times_and_then_once_an_hour(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    for _ in range(12):
        tell()
        notify_due()
        alerts.clear("one")
        clock.shift(10 * MINUTE)
    assert Alert.objects.get().times == 12
    assert len(mails.sent) == 4  # at 0, 10 and 20 minutes, and when the third is an hour ago
    assert Alert.objects.get().told_at == NOON + 80 * MINUTE


def test_what_comes_and_goes_as_new_rows_is_told_no_more_often(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    for _ in range(6):
        tell()
        notify_due()
        alerts.clear("one")
        clock.shift(20 * MINUTE)
    assert Alert.objects.count() == 6
    assert len(mails.sent) == 4  # at 0, 20 and 40 minutes, and when the third is an hour ago


@pytest.mark.parametrize("how", ["comes back", "becomes critical"])
def test_who_looked_after_it_hears_that_it_comes_back_or_becomes_critical(
    mails: SendGridDouble, clock: time_machine.Coordinates, how: str
) -> None:
    severity = CRITICAL if how == "comes back" else Alert.Severity.WARNING
    first = tell(severity=severity)
    notify_due()
    clock.shift(MINUTE)
    alerts.acknowledge(first, by=make_user("admin"))
    if how == "comes back":
        alerts.clear("one")
    clock.shift(MINUTE)
    assert tell(severity=CRITICAL).acknowledged_at, "what a person noted stays"
    assert notify_due() == "1 done"
    clock.shift(2 * HOUR)
    assert remind() == "planned 1"
    assert notify_due() == "1 done"
    assert len(mails.sent) == 3


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


def test_nobody_on_call_is_said_on_the_notice(mails: SendGridDouble, settings: Any) -> None:
    settings.ON_CALL = ()
    tell(severity=CRITICAL)
    due()
    assert notify_due() == "1 not needed"
    assert mails.sent == []
    Alert.objects.update(opened_at=NOON)
    assert remind() == "planned 0", "and nothing is planned that nobody would read"


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
    settings.ON_CALL = (FIRST, SECOND)
    tell()
    mails.fail_next(429)
    notify_due()
    clock.shift(5 * MINUTE)
    tell("later")
    due()
    while notify_due() != "nothing due":
        pass
    assert sorted(mail.to for mail in mails.sent if "later" in mail.text) == [FIRST, SECOND]
    assert sorted(mail.to for mail in mails.sent if "one" in mail.text) == [FIRST, SECOND]


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


def test_the_alert_about_mail_that_fails_does_not_feed_itself(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    senders.take(gateways.sender("email"), 1)
    senders.pause(gateways.sender("email"), "sendgrid:http-401", 300.0, alert=True)
    mails.fail_next(401, times=8)
    for _ in range(8):
        notify_due()
        due()
    assert Alert.objects.count() == AlertNotice.work.count() == 1
    assert AlertNotice.work.get().work_state == "failed"


def test_what_is_critical_is_told_again_until_somebody_looks_after_it(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell(severity=CRITICAL)
    tell("less")
    told = list[int]()
    for minutes in (0, 29, 30, 149, 150, 1589, 1590, 3029, 3030):
        clock.move_to(NOON + minutes * MINUTE)
        remind()
        remind()
        if notify_due() == "1 done":
            told.append(minutes)
    assert told == [0, 30, 150, 1590, 3030]
    assert all("less" not in text for text in texts(mails)[1:])
    clock.shift(3 * 24 * HOUR)
    assert remind() == "planned 1", "after days of downtime once"
    alerts.acknowledge(Alert.objects.get(cause="one"), by=make_user("admin"))
    assert notify_due() == "1 not needed"
    assert Heartbeat.objects.get(entry="alerts unacknowledged").runs > 1


def test_a_mail_that_failed_for_good_does_not_end_the_telling(
    mails: SendGridDouble, settings: Any, clock: time_machine.Coordinates
) -> None:
    settings.ON_CALL = ("no address",)
    tell(severity=CRITICAL)
    assert notify_due() == "1 failed"
    AlertNotice.work.update(updated_at=NOON)
    assert remind() == "planned 0"
    settings.ON_CALL = (FIRST,)
    clock.shift(30 * MINUTE)
    assert remind() == "planned 1"
    notify_due()
    assert len(mails.sent) == 1


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
