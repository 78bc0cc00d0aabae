"""Holds that whoever is on call hears of what begins, once and in few mails, and again of what nobody looks after."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from backend.apps.core import alerts
from backend.apps.core.models import Alert, AlertNotice, Heartbeat
from backend.apps.messaging import senders
from backend.apps.users.tests.factories import make_user
from integrations.doubles.sendgrid import SendGridDouble
from tests.workers.alerting import CRITICAL, FIRST, HOUR, INFO, MINUTE, NOON, WARNING, due, tell, texts
from workers import gateways
from workers.alerts import notify_due, remind

pytestmark = pytest.mark.django_db


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


def test_what_was_for_information_is_told_when_it_becomes_a_warning(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    tell(severity=INFO)
    clock.shift(5 * MINUTE)
    tell()
    assert notify_due() == "1 done"
    assert texts(mails)[0].startswith("Warning: Trouble one.")


def test_what_changes_between_warning_and_critical_is_one_mail(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    for severity in (CRITICAL, WARNING) * 3:
        tell(severity=severity)
        notify_due()
        clock.shift(3 * MINUTE)
    assert [text.split(":")[0] for text in texts(mails)] == ["Critical"]


def test_what_becomes_worse_each_time_it_comes_is_told_three_times_and_then_once_an_hour(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    for _ in range(6):
        for severity in (WARNING, CRITICAL):
            tell(severity=severity)
            notify_due()
            clock.shift(3 * MINUTE)
        alerts.clear("one")
    assert [text.split(":")[0] for text in texts(mails)] == ["Warning", "Critical", "Warning"]


def test_who_looks_after_what_became_critical_hears_no_more_of_it(
    mails: SendGridDouble, clock: time_machine.Coordinates
) -> None:
    admin = make_user("admin")
    alerts.acknowledge(tell(), by=admin)
    clock.shift(MINUTE)
    notify_due()
    tell(severity=CRITICAL)
    notify_due()
    clock.shift(MINUTE)
    alerts.acknowledge(Alert.objects.get(), by=admin)
    clock.shift(48 * HOUR)
    assert remind() == "planned 0"
    assert [text.split(":")[0] for text in texts(mails)] == ["Warning", "Critical"]


@pytest.mark.parametrize("how", ["comes back", "becomes critical"])
def test_what_nobody_was_told_of_yet_is_told_though_somebody_who_saw_it_as_it_was_took_it_over(
    mails: SendGridDouble, clock: time_machine.Coordinates, how: str
) -> None:
    before = tell()
    notify_due()
    clock.shift(MINUTE)
    if how == "comes back":
        alerts.clear("one")
    tell(severity=WARNING if how == "comes back" else CRITICAL)
    clock.shift(MINUTE)
    alerts.acknowledge(before, by=make_user("admin"))
    assert notify_due() == "1 done"
    assert len(mails.sent) == 2
    clock.shift(48 * HOUR)
    assert remind() == "planned 0"


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
    severity = CRITICAL if how == "comes back" else WARNING
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


def test_nobody_on_call_is_said_on_the_notice(mails: SendGridDouble, settings: Any) -> None:
    settings.ON_CALL = ()
    tell(severity=CRITICAL)
    due()
    assert notify_due() == "1 not needed"
    assert mails.sent == []
    Alert.objects.update(opened_at=NOON)
    assert remind() == "planned 0", "and nothing is planned that nobody would read"


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
