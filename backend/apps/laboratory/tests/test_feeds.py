"""Holds who may set up a laboratory's feed, and what a feed may not be."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from backend.apps.laboratory.models import LabFeed
from backend.apps.laboratory.tests.factories import make_lab_feed
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
FEEDS = "/api/v1/lab-feeds/"


class TestLabFeeds(ApiContract):
    url = FEEDS
    reader = "lab_tech"
    stranger = "doctor"
    make = staticmethod(lambda: make_lab_feed(sending_facility=uuid4().hex))


def test_an_administrator_sets_up_a_feed_with_defaults_that_are_safe() -> None:
    body = {"name": "Northside", "sending_facility": "NORTH", "allowed_networks": ["10.1.0.0/16", "2001:db8::/32"]}
    answer = client_for(make_user("admin")).post(FEEDS, body)
    assert answer.status_code == 201, answer.data
    feed = LabFeed.objects.get()
    assert (feed.processing_ids, feed.adt_policy, feed.takes_unknown_types) == ("P", "off", False)
    assert (feed.match_policy, feed.ack_mode, feed.order_message) == ("number", "as_asked", "")
    assert feed.order_tls
    assert feed.allowed_networks == ["10.1.0.0/16", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowed_networks", ["10.1.0.0/33"]),
        ("allowed_networks", "10.1.0.0/16"),
        ("allowed_certificates", ["AB" * 32]),
        ("versions", ["2.5.1.9"]),
        ("processing_ids", "X"),
        ("time_zone", "Mars/Olympus"),
        ("ack_mode", "never"),
        ("silence_minutes", 1),
        ("order_message", "OML^O21"),
    ],
)
def test_a_feed_that_could_not_work_is_refused(field: str, value: Any) -> None:
    feed = make_lab_feed()
    answer = client_for(make_user("admin")).patch(f"{FEEDS}{feed.pk}/", {field: value})
    assert answer.status_code == 400, answer.data


def test_a_second_active_feed_of_one_sender_is_refused_until_the_first_is_closed() -> None:
    first, api = make_lab_feed(sending_facility="NORTH"), client_for(make_user("admin"))
    body = {"name": "Again", "sending_facility": "NORTH"}
    assert api.post(FEEDS, body).status_code == 400
    assert api.patch(f"{FEEDS}{first.pk}/", {"is_active": False}).status_code == 200
    assert api.post(FEEDS, body).status_code == 201


def test_a_lab_technician_reads_feeds_and_changes_none() -> None:
    feed, api = make_lab_feed(), client_for(make_user("lab_tech"))
    assert api.get(FEEDS).status_code == 200
    assert api.patch(f"{FEEDS}{feed.pk}/", {"is_active": False}).status_code == 403
    assert api.delete(f"{FEEDS}{feed.pk}/").status_code == 403
