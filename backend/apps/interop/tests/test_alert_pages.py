"""Proves that alerts are read, taken over and settled by whoever may see them, one or many, and lead to their page."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core import alerts
from backend.apps.core.models import Alert, AuditLog
from backend.apps.interop import alert_pages, alert_words
from backend.apps.laboratory.tests.factories import make_lab_feed, make_lab_order
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/console/alerts/"


def opened(number: int = 1, kind: str = "claims_file", **over: Any) -> Alert:
    return alerts.open_once(f"cause {number}", kind=kind, sentence=f"File {number} was turned back.", **over)


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def form(verb: str, *rows: Alert) -> dict[str, str]:
    """Return the form that a page of these alerts sends, as they are now."""
    return {"verb": verb, "confirmed": ",".join(alert_pages.seen(Alert.objects.get(pk=row.pk)) for row in rows)}


def confirmed(answer: Any) -> str:
    found = re.search(r'name="confirmed" value="([^"]*)"', answer.content.decode())
    assert found, answer.content.decode()
    return found[1]


def test_alerts_stand_in_the_list_of_their_state_cut_by_severity_and_kind() -> None:
    bad = opened(1, severity="critical")
    other, mine, over = opened(2), opened(3, kind="lab_feed_silent"), opened(4)
    alerts.acknowledge(mine, by=make_user("admin"))
    alerts.clear(over.cause)
    client = signed_in("admin")
    for query, rows in {
        "": {bad, other},
        "?state=acknowledged": {mine},
        "?state=resolved": {over},
        "?severity=critical": {bad},
        "?state=unresolved": {bad, other, mine},
        "?state=unresolved&kind=lab_feed_silent&kind=claims_watch": {mine},
        "?state=acknowledged&kind=lab_feed_silent": {mine},
        "?state=acknowledged&kind=claims_file": set(),
    }.items():
        text = text_of(client.get(f"{LIST}{query}"))
        shown = {row for row in (bad, other, mine, over) if f"{LIST}{row.pk}/" in text}
        assert shown == rows, query
    assert "<b>2</b> nobody looks after" in text_of(client.get(LIST))


def test_what_became_critical_after_somebody_took_it_over_is_looked_after_by_nobody_until_somebody_says_so_again() -> (
    None
):
    client, row = signed_in("admin"), opened(1)
    client.post(f"{LIST}bulk/", form("acknowledge", row))
    assert "I look after it" not in text_of(client.get(f"{LIST}{row.pk}/"))
    opened(1, severity="critical")
    assert f"{LIST}{row.pk}/" in text_of(client.get(LIST))
    assert "<b>1</b> nobody looks after" in text_of(client.get(LIST))
    assert f"{LIST}{row.pk}/" not in text_of(client.get(f"{LIST}?state=acknowledged"))
    alone = text_of(client.get(f"{LIST}{row.pk}/"))
    assert "I look after it" in alone
    assert "before it began again or became worse" in alone
    take = {"verb": "acknowledge", "confirmed": confirmed(client.get(f"{LIST}{row.pk}/"))}
    assert "1 of 1 alert acknowledged." in text_of(client.post(f"{LIST}bulk/", take, follow=True))
    assert f"{LIST}{row.pk}/" not in text_of(client.get(LIST))
    assert "<b>1</b> looked after" in text_of(client.get(LIST))
    assert "before it began again" not in text_of(client.get(f"{LIST}{row.pk}/"))


@pytest.mark.parametrize("how", ["comes back", "becomes worse"])
@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
def test_who_saw_an_alert_before_it_came_back_or_became_worse_is_asked_to_look_again(verb: str, how: str) -> None:
    client, row = signed_in("admin"), opened(1)
    before = {"verb": verb, "confirmed": confirmed(client.get(f"{LIST}{row.pk}/"))}
    if how == "comes back":
        alerts.clear(row.cause)
    opened(1, severity="warning" if how == "comes back" else "critical")
    assert alert_pages.MOVED in text_of(client.post(f"{LIST}bulk/", before, follow=True))
    assert AuditLog.objects.get(action=f"console.{verb}").outcome == "refused"
    assert not Alert.objects.exclude(acknowledged_at=None, resolved_at=None).exists()
    assert "1 of 1 alert" in text_of(client.post(f"{LIST}bulk/", form(verb, row), follow=True))


@pytest.mark.parametrize("when", ["before the count", "after the count"])
def test_of_many_that_were_ticked_only_those_are_taken_over_that_stand_as_they_were_shown(when: str) -> None:
    client, worse, same = signed_in("admin"), opened(1), opened(2)
    ticked = re.findall(r'name="alert" value="([^"]*)"', client.get(LIST).content.decode())
    if when == "before the count":
        opened(1, severity="critical")
    told = client.post(f"{LIST}bulk/", {"verb": "acknowledge", "alert": ticked})
    assert "2 alerts" in text_of(told)
    opened(1, severity="critical")
    answer = client.post(f"{LIST}bulk/", {"verb": "acknowledge", "confirmed": confirmed(told)}, follow=True)
    assert f"1 of 2 alerts acknowledged. 1 not: {alert_pages.MOVED}" in text_of(answer)
    assert set(Alert.objects.filter(acknowledged_at=None)) == {worse}
    assert Alert.objects.get(pk=same.pk).acknowledged_by


def test_an_alert_that_is_seen_again_as_it_was_is_taken_over_from_an_older_page() -> None:
    client, row = signed_in("admin"), opened(1)
    shown = confirmed(client.get(f"{LIST}{row.pk}/"))
    opened(1)
    client.post(f"{LIST}bulk/", {"verb": "acknowledge", "confirmed": shown})
    assert Alert.objects.get().acknowledged_at


def test_the_list_says_when_nobody_is_on_call(settings: Any) -> None:
    client = signed_in("admin")
    settings.ON_CALL = ()
    assert "Nobody is on call" in text_of(client.get(LIST))
    settings.ON_CALL = ("watch@example.org",)
    assert "Nobody is on call" not in text_of(client.get(LIST))


def test_many_are_acknowledged_after_a_count_and_exactly_those() -> None:
    user = make_user("admin")
    client, rows = signed_in(user), [opened(1), opened(2)]
    told = client.post(f"{LIST}bulk/", {"verb": "acknowledge", "every": "1", "back": "state=open&kind=claims_file"})
    assert "2 alerts" in text_of(told)
    assert not Alert.objects.filter(acknowledged_at__isnull=False).exists()
    untold = client.post(f"{LIST}bulk/", {"verb": "acknowledge", "back": "state=open"}, follow=True)
    assert "Tick rows first." in text_of(untold)
    late = opened(3)
    sure = {"verb": "acknowledge", "confirmed": confirmed(told), "back": "state=open&kind=claims_file"}
    answer = client.post(f"{LIST}bulk/", sure, follow=True)
    assert "2 of 2 alerts acknowledged." in text_of(answer)
    assert answer.redirect_chain[-1][0] == f"{LIST}?state=open&kind=claims_file"
    assert set(Alert.objects.filter(acknowledged_by=user)) == set(rows)
    again = client.post(f"{LIST}bulk/", sure, follow=True)
    assert "Somebody looks after this alert already." in text_of(again)
    assert AuditLog.objects.filter(action="console.acknowledge", outcome="allowed").count() == 2
    client.post(f"{LIST}bulk/", form("resolve", late))
    late.refresh_from_db()
    assert (late.resolved_by, late.acknowledged_by) == (user, None)


def test_the_laboratory_sees_and_settles_its_own_alone() -> None:
    client, own, other = signed_in("lab_tech"), opened(1, kind="lab_feed_silent"), opened(2)
    text = text_of(client.get(LIST))
    assert f"{LIST}{own.pk}/" in text
    assert f"{LIST}{other.pk}/" not in text
    assert client.get(f"{LIST}{other.pk}/").status_code == 404
    client.post(f"{LIST}bulk/", form("resolve", own, other))
    assert set(Alert.objects.filter(resolved_at__isnull=False)) == {own}
    assert signed_in("receptionist").get(LIST).status_code == 403


def test_the_page_of_one_tells_who_was_told_and_what_went_before() -> None:
    client = signed_in("admin")
    before = opened(1)
    alerts.resolve(before, by=make_user("admin", first_name="Ada", last_name="Stone"))
    row = alerts.open_once(before.cause, kind="claims_file", sentence="Once more.", damping=alerts.DAMPING * 0)
    Alert.objects.filter(pk=row.pk).update(tellings=2, told_at=row.opened_at)
    text = text_of(client.get(f"{LIST}{row.pk}/?back=kind%3Dclaims_file"))
    assert "2 times, last" in text
    assert f"{LIST}{before.pk}/" in text
    assert f'href="{LIST}?kind=claims_file"' in text
    assert "by Ada Stone" in text_of(client.get(f"{LIST}{before.pk}/"))
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(row.pk)).exists()


def test_an_alert_leads_to_what_it_is_about() -> None:
    feed, order = make_lab_feed(), make_lab_order()
    assert alert_words.address_of(opened(1, subject=feed)) == f"/console/labs/?feed={feed.pk}"
    assert alert_words.address_of(opened(2, subject=order)) == f"/admin/laboratory/laborder/{order.pk}/change/"
    assert alert_words.address_of(opened(3, kind="beat_late")) == "/console/beat/"
    assert alert_words.address_of(opened(4, kind="messages_word_unknown")) == "/console/reminders/"
    assert alert_words.address_of(opened(5, kind="weather_bad")) == ""
    named = set(alert_words.BOARDS.values()) | {page for page, *_ in alert_words.PAGES.values()}
    assert all(name.startswith("console:") for name in named)
    claim = Alert(kind="claims_denied", subject_type="insuranceclaim", subject_id=str(uuid4()))
    assert alert_words.address_of(claim) == f"/console/claims/{claim.subject_id}/"


def test_the_list_costs_the_same_for_many() -> None:
    client = signed_in("admin")
    opened(1)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for number in range(2, 8):
        opened(number, kind=f"claims_{'x' * number}")
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few) < 10
