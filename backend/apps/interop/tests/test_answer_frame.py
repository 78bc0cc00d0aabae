"""Proves what all pages behind patients' links share: limits, seals, silence in the log, and the choice of a visit."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_reachable_patient, make_reminder
from backend.apps.core.models import AuditLog
from backend.apps.core.models import Clinic as Practice
from backend.apps.interop.answer_frame import BY_ADDRESS, BY_LINK
from backend.apps.interop.answer_words import EN
from backend.apps.interop.tests.patient_links import SECRETS, link_of, press, stamp, state, text, visit_ahead
from backend.apps.messaging import links
from backend.apps.messaging.models import LinkPurpose
from backend.apps.messaging.tests.inbox_factories import make_patient_message
from backend.apps.patients.tests.factories import reached_at
from backend.apps.users import throttle
from backend.config.logs import Json, Line
from tests.support.clocks import held_minute

pytestmark = pytest.mark.django_db
BIRTH = "1980-05-17"
AWAY = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}


@pytest.fixture(autouse=True)
def practice() -> Practice:
    return Practice.objects.create(name="Elm Street Clinic", phone="+14155550199", time_zone="America/New_York")


def family() -> tuple[str, list[Appointment]]:
    """Return the address sent to a number that was reminded of two children's visits, and the visits."""
    number = "+14155550123"
    visits = [visit_ahead(patient=make_reachable_patient(last_name=name, phone=number)) for name in ("Zqa", "Zqb")]
    for visit in visits:
        make_reminder(appointment=visit, status="sent", sent_at=timezone.now(), recipient_phone=number)
    message = make_patient_message(visits[0].patient, wording="choose", recipient_phone=number, subject_id=visits[0].pk)
    links.keep([links.Wanted(message, LinkPurpose.CHOOSE, visits[0].pk, timezone.now() + timedelta(days=1))])
    return f"/a/{links.token(message.pk, LinkPurpose.CHOOSE)}", visits


def test_who_answered_for_a_family_chooses_the_very_visit_and_no_other_is_confirmed() -> None:
    url, (one, two) = family()
    stranger = visit_ahead()
    page = text(Client().get(url))
    assert [stamp(visit) in page for visit in (one, two, stranger)] == [True, True, False]
    assert [name for name in ("Zqa", "Zqb", "Ada", "4155550123") if name in SECRETS.sub("", page)] == []
    assert press(url, two, "confirm", visit=str(two.pk)).status_code == 200
    assert list(Appointment.objects.order_by("created_at").values_list("status", flat=True)) == [
        "scheduled", "confirmed", "scheduled",
    ]  # fmt: skip
    noted = AuditLog.objects.get(action="link.confirm")
    assert (noted.patient_id, noted.resource_id) == (two.patient_id, str(two.pk))
    assert EN.is_confirmed in text(Client().get(url))


def test_at_a_choice_nothing_is_done_without_the_visit_and_the_time_that_were_shown() -> None:
    url, (one, two) = family()
    stranger = visit_ahead()
    before = state()
    assert [Client().get(url).status_code, Client().head(url).status_code] == [200, 200]
    assert Client().get(f"{url}/calendar.ics").status_code == 404
    for visit, act, key in (
        (stranger, "confirm", stranger.pk),
        (one, "confirm", two.pk),  # the time of one, the key of the other
        (one, "cancel", one.pk),
        (one, "confirm", "x"),
    ):
        assert press(url, visit, act, visit=str(key), birth=BIRTH).status_code == 422
    assert state() == before
    services.cancel(one, by=None, reason="Ill")
    reached_at(two.patient, phone="+14155550124")
    assert (Client().get(url).status_code, EN.choice_over in text(Client().get(url))) == (410, True)


@pytest.fixture
def minute() -> Iterator[None]:
    with held_minute():
        yield


def counted(times: int, address: str) -> None:
    """Let an address have asked for links that do not work."""
    for _ in range(times):
        throttle.over(BY_ADDRESS, address)


@pytest.mark.usefixtures("minute")
def test_who_opens_one_link_again_and_again_is_asked_to_wait() -> None:
    url, other = link_of(visit_ahead()), link_of(visit_ahead())
    codes = [Client().get(url).status_code for _ in range(BY_LINK.most)]
    assert set(codes) == {200}
    refused = Client().get(url)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= BY_LINK.window_s
    assert EN.slow in text(refused)
    assert Client().get(other).status_code == 200


@pytest.mark.usefixtures("minute")
def test_an_address_waits_for_links_that_do_not_work_and_never_for_those_that_do() -> None:
    visit = visit_ahead()
    good, mailbox = link_of(visit), link_of(visit, LinkPurpose.UNSUBSCRIBE)
    counted(BY_ADDRESS.most - 1, "127.0.0.1")
    assert [Client().get("/a/" + secrets.token_urlsafe(16)).status_code for _ in range(2)] == [404, 429]
    assert Client().get("/a/" + "A" * 22, REMOTE_ADDR="192.0.2.7").status_code == 404
    assert Client().get(good).status_code == 200
    pressed = [Client().post(mailbox, {"List-Unsubscribe": "One-Click"}) for _ in range(BY_LINK.most + 2)]
    assert {answer.status_code for answer in pressed} == {200}
    assert AuditLog.objects.filter(action="link.unsubscribe").count() == 1


@pytest.mark.usefixtures("minute")
def test_who_changes_their_mind_again_and_again_is_asked_to_wait_and_only_before_mail_begins_anew() -> None:
    mailbox = link_of(visit_ahead(), LinkPurpose.UNSUBSCRIBE)
    for _ in range(BY_LINK.most):
        throttle.over(BY_LINK, mailbox.removeprefix("/a/"))
    assert [Client().post(mailbox, {"act": act}).status_code for act in ("start", "stop")] == [429, 200]


@pytest.mark.usefixtures("minute")
def test_behind_a_proxy_we_trust_each_patient_has_a_limit_of_their_own(settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1

    def knock(told: str) -> int:
        return int(Client().get("/a/" + "A" * 22, headers={"x-forwarded-for": told}).status_code)

    counted(BY_ADDRESS.most - 1, "203.0.113.9")
    assert [knock(f"198.51.100.{n}, 203.0.113.9") for n in range(2)] == [404, 429]
    assert knock("203.0.113.9, 203.0.113.10") == 404
    url = link_of(visit_ahead())
    Client().get(url, headers={"x-forwarded-for": "198.51.100.1, 203.0.113.10"})
    assert AuditLog.objects.get(action="link.view").ip_address == "203.0.113.10"


def test_a_database_that_refuses_is_told_kindly_sealed_and_without_the_link_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE appointments_appointment ADD CHECK (status <> 'confirmed')")
    visit = visit_ahead()
    url = link_of(visit)
    with caplog.at_level(logging.DEBUG):
        answer = press(url, visit, "confirm")
    assert answer.status_code == 503
    assert EN.away_why in text(answer)
    assert "tel:+14155550199" in text(answer)
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]
    token = url.removeprefix("/a/")
    assert not [record for record in caplog.records if token in Line().format(record)]


@pytest.mark.parametrize("kind", [Json, Line])
def test_no_line_of_any_log_holds_the_address_of_a_patient(kind: type[Json | Line]) -> None:
    token = links.token("1", "answer")
    try:
        raise ValueError(f"/a/{token}/calendar.ics")
    except ValueError:
        record = logging.LogRecord("x", 40, "x", 1, "Internal: %s", (f"GET /a/{token}?x",), sys.exc_info())
    told = kind().format(record)
    assert token not in told
    assert "GET /a/...?x" in told
    assert ("/a/.../calendar.ics" in told) is (kind is Line), "JSON has no text of an exception at all"
    config = settings.LOGGING
    assert config["formatters"][config["handlers"]["console"]["formatter"]]["()"] == "backend.config.logs.chosen"
    assert [name for name, each in config["loggers"].items() if set(each.get("handlers", [])) - {"console"}] == []


@override_settings(CACHES=AWAY)
def test_a_redis_that_is_away_locks_nobody_out() -> None:
    visit = visit_ahead()
    assert EN.is_confirmed in text(press(link_of(visit), visit, "confirm"))
    assert Client().get("/a/" + "A" * 22).status_code == 404
