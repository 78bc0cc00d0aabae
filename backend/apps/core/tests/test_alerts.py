"""Holds that trouble is told once, that what comes back at once is the same trouble, and who sees and settles it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from backend.apps.core import alerts
from backend.apps.core.exceptions import Conflict
from backend.apps.core.models import Alert
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.races import wait_until_waited_for

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CAUSE = "feed silent:1"


def tell(cause: str = CAUSE, **over: Any) -> Alert:
    return alerts.open_once(cause, **{"kind": "lab_feed_silent", "sentence": "A feed is silent.", **over})


class TestAlerts(ApiContract):
    url = "/api/v1/alerts/"
    stranger = "nurse"

    def make(self) -> Alert:
        return tell(f"test:{Alert.objects.count()}")


def test_the_same_trouble_told_twice_is_one_alert_that_was_seen_again() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        first = tell()
        clock.shift(timedelta(minutes=5))
        assert tell().pk == first.pk
    row = Alert.objects.get()
    assert (row.times, row.opened_at, row.last_seen_at) == (1, NOON, NOON + timedelta(minutes=5))


@pytest.mark.parametrize(("minutes", "rows", "times"), [(14, 1, 2), (16, 2, 1)])
def test_what_comes_back_soon_is_the_same_alert_and_later_a_new_one(minutes: int, rows: int, times: int) -> None:
    login = make_user("admin")
    with time_machine.travel(NOON, tick=False) as clock:
        alerts.acknowledge(tell(), by=login)
        assert alerts.clear(CAUSE) == 1
        clock.shift(timedelta(minutes=minutes))
        again = tell()
    assert Alert.objects.count() == rows
    assert (again.times, again.is_open) == (times, True)
    assert (again.acknowledged_by == login) is (rows == 1), "what a person noted on the same trouble stays"


@pytest.mark.parametrize("cleared", [False, True])
def test_an_alert_says_what_is_true_now_and_keeps_who_looks_after_it(cleared: bool) -> None:
    login = make_user("admin")
    alerts.acknowledge(tell(), by=login)
    if cleared:
        alerts.clear(CAUSE)
    again = tell(sentence="A feed is silent and orders wait.", severity=Alert.Severity.CRITICAL)
    assert (again.sentence, again.severity) == ("A feed is silent and orders wait.", "critical")
    assert (Alert.objects.get().sentence, again.acknowledged_by) == (again.sentence, login)


def test_an_open_alert_stays_as_severe_as_it_was_at_its_worst_and_counts_each_time_it_became_worse() -> None:
    told = [tell(severity=each) for each in ("info", "warning", "info", "critical", "warning", "critical")]
    assert [row.severity for row in told] == ["info", "warning", "warning", "critical", "critical", "critical"]
    assert [row.times for row in told] == [1, 2, 2, 3, 3, 3]
    alerts.clear(CAUSE)
    assert (tell().severity, tell().times) == ("warning", 4), "what begins again is as severe as it is then"


@pytest.mark.parametrize("how", ["comes back", "becomes worse"])
def test_who_looks_after_it_says_so_again_when_it_came_back_or_became_worse(how: str) -> None:
    row, first, second = tell(), make_user("admin"), make_user("admin")
    alerts.acknowledge(row, by=first)
    if how == "comes back":
        alerts.clear(CAUSE)
    tell(severity=Alert.Severity.WARNING if how == "comes back" else Alert.Severity.CRITICAL)
    assert alerts.acknowledge(row, by=second).acknowledged_by == second
    with pytest.raises(Conflict):
        alerts.acknowledge(row, by=first)


def test_clearing_leaves_other_causes_alone_and_is_done_once() -> None:
    tell()
    other = tell("another")
    assert (alerts.clear(CAUSE), alerts.clear(CAUSE)) == (1, 0)
    assert list(Alert.objects.filter(resolved_at=None)) == [other]


def test_the_first_person_to_acknowledge_and_to_resolve_stands() -> None:
    row, first, second = tell(), make_user("admin"), make_user("admin")
    alerts.acknowledge(row, by=first)
    with pytest.raises(Conflict):
        alerts.acknowledge(row, by=second)
    alerts.resolve(row, by=second)
    for late in (alerts.acknowledge, alerts.resolve):
        with pytest.raises(Conflict):
            late(row, by=first)
    row.refresh_from_db()
    assert (row.acknowledged_by, row.resolved_by) == (first, second)


def test_what_a_person_dismissed_is_told_apart_from_what_went_away() -> None:
    before = timezone.now()
    tell()
    alerts.clear(CAUSE)
    assert not alerts.dismissed(CAUSE, since=before)
    alerts.resolve(tell(), by=make_user("admin"))
    assert alerts.dismissed(CAUSE, since=before)
    assert not alerts.dismissed(CAUSE, since=timezone.now())


def test_the_laboratory_sees_and_settles_its_own_alerts_only() -> None:
    own, other = tell(), tell("disk", kind="system_disk_full")
    api = client_for(make_user("lab_tech"))
    assert {row["id"] for row in api.get("/api/v1/alerts/").data["results"]} == {str(own.pk)}
    assert api.post(f"/api/v1/alerts/{other.pk}/resolve/").status_code == 404
    assert api.post(f"/api/v1/alerts/{own.pk}/acknowledge/").data["acknowledged_at"]
    assert api.get("/api/v1/alerts/", {"resolved": "true"}).data["results"] == []
    assert api.post(f"/api/v1/alerts/{own.pk}/resolve/").status_code == 200
    assert len(api.get("/api/v1/alerts/", {"resolved": "true"}).data["results"]) == 1


def test_the_api_and_the_admin_say_whether_somebody_looks_after_it_since_its_last_news() -> None:
    row, login = tell(), make_user("admin")
    api, browser = client_for(login), Client()
    browser.force_login(login)

    def looked_after() -> list[Any]:
        shown = api.get(f"{TestAlerts.url}{row.pk}/").data
        cut = [len(api.get(TestAlerts.url, {"looked_after": each}).data["results"]) for each in ("true", "false")]
        (line,) = browser.get("/admin/core/alert/").context_data["cl"].result_list
        assert (parse_datetime(shown["news_at"]), line.news_at) == (Alert.objects.get().news_at,) * 2
        assert line.looked_after == shown["looked_after"]
        return [shown["looked_after"], *cut]

    assert looked_after() == [False, 0, 1]
    assert api.post(f"{TestAlerts.url}{row.pk}/acknowledge/").data["looked_after"] is True
    assert looked_after() == [True, 1, 0]
    tell(severity=Alert.Severity.CRITICAL)
    assert looked_after() == [False, 0, 1]


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
@pytest.mark.parametrize("before", ["never", "just now"])
def test_two_watchers_at_once_open_one_alert(before: str) -> None:
    if before == "just now":
        tell()
        alerts.clear(CAUSE)
    start = threading.Barrier(2)

    def watch() -> None:
        start.wait()
        tell()
        connection.close()

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for each in watchers:
        each.start()
    for each in watchers:
        each.join()
    assert Alert.objects.filter(resolved_at=None).count() == 1
    assert Alert.objects.get().times == (1 if before == "never" else 2)


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
@pytest.mark.parametrize("before", ["never", "open", "just now"])
def test_of_two_watchers_at_once_the_one_who_found_it_worse_stands(before: str) -> None:
    if before != "never":
        tell()
    if before == "just now":
        alerts.clear(CAUSE)
    other = threading.Thread(target=lambda: (tell(), connection.close()))
    with transaction.atomic():
        tell(severity=Alert.Severity.CRITICAL)
        other.start()
        wait_until_waited_for()
    other.join()
    assert Alert.objects.get().severity == "critical"
