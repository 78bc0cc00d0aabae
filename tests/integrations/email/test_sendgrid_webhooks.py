"""Holds the door that SendGrid's events come in by: forged, changed and old ones stay out, and each event is read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.doubles.sendgrid import SentEmail, event, key_pair, sign
from integrations.email import sendgrid_events
from integrations.email.sendgrid_webhooks import EmailEvent, read, verify

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
BODY = b'[{"email":"p\xc3\xa1t@example.org","event":"delivered","sg_event_id":"e1"}]\r\n'
MAIL = SentEmail("Ua9z9lSTSaqYBWJe_Xfc-Q", "pat@example.org", "c@example.org", "Hello", "Hello", "", "018f.1", {})
Keys = tuple[ec.EllipticCurvePrivateKey, str]


@pytest.fixture
def keys() -> Keys:
    return key_pair()


def is_let_in(keys: Keys, *, body: bytes = BODY, at: str = "", public: list[str] | None = None, **over: Any) -> bool:
    headers = sign(BODY, keys[0], timestamp=at or str(int(NOW.timestamp())))
    signature, timestamp = headers.values()
    given = {"signature": signature, "timestamp": timestamp, **over}
    return verify(body, given["signature"], given["timestamp"], public or [keys[1]], now=NOW)


def test_what_sendgrid_signed_is_let_in_to_the_last_byte(keys: Keys) -> None:
    assert is_let_in(keys)
    assert not is_let_in(keys, body=BODY.strip())
    assert not is_let_in(keys, body=BODY.replace(b"delivered", b"bounce"))


def test_both_keys_are_good_while_they_are_exchanged(keys: Keys) -> None:
    assert is_let_in(keys, public=[key_pair()[1], keys[1]])
    assert not is_let_in(keys, public=[key_pair()[1]])


@pytest.mark.parametrize(
    ("hours", "let_in"), [(-25.9, True), (-26.1, False), (-50_000, False), (0.1, True), (0.2, False)]
)
def test_an_old_call_stays_out_and_so_does_one_from_the_future(keys: Keys, hours: float, let_in: bool) -> None:
    at = str(int((NOW + timedelta(hours=hours)).timestamp()))
    assert is_let_in(keys, at=at) is let_in


@pytest.mark.parametrize(
    "over",
    [
        *({"signature": wrong} for wrong in (None, "", "!", "AAAA", "é", base64.b64encode(b"0" * 70).decode())),
        *({"timestamp": wrong} for wrong in (None, "", "soon", "1772539200 ", "177253920", "17725392001")),
    ],
    ids=repr,
)
def test_a_missing_or_strange_signature_or_time_stays_out(keys: Keys, over: dict[str, Any]) -> None:
    assert not is_let_in(keys, **over)


def test_the_time_cannot_be_cut_so_that_a_part_of_it_is_read_as_the_body(keys: Keys) -> None:
    stamp = str(int(NOW.timestamp()))
    signature = sign(BODY, keys[0], timestamp=stamp)["X-Twilio-Email-Event-Webhook-Signature"]
    assert not verify(stamp[9:].encode() + BODY, signature, stamp[:9], [keys[1]], now=NOW)
    signature = sign(b"5" + BODY, keys[0], timestamp=stamp)["X-Twilio-Email-Event-Webhook-Signature"]
    assert not verify(b"5" + BODY, signature, stamp, [keys[1]], now=NOW)


def test_without_a_key_of_ours_or_with_a_strange_one_nobody_comes_in(keys: Keys) -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    rsa_key = base64.b64encode(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    for key in ("", "no key", "AAAA", "é", rsa_key):
        assert not is_let_in(keys, public=[key])
    signature, timestamp = sign(BODY, keys[0]).values()
    assert not verify(BODY, signature, timestamp, [], now=datetime.now(UTC))


def test_a_body_that_is_no_text_stays_out(keys: Keys) -> None:
    body = b"[\xff]"
    signature, timestamp = sign(body, keys[0], timestamp=str(int(NOW.timestamp()))).values()
    assert not verify(body, signature, timestamp, [keys[1]], now=NOW)


def test_an_event_is_read_with_why_the_mail_did_not_arrive() -> None:
    sent = event(MAIL, "bounce", type="bounce", status="5.1.1", reason="550 pat@example.org: no such user")
    [found] = read(json.dumps([sent]).encode())
    assert (found.kind, found.event_id, found.attempt_id) == ("bounce", sent["sg_event_id"], "018f.1")
    assert found.message_id == MAIL.message_id, "as Mail Send answered"
    assert found.at == datetime.fromtimestamp(sent["timestamp"], UTC)
    assert found.code == "sendgrid:5.1.1"
    assert "example.org" not in repr(found)


@pytest.mark.parametrize(
    ("kind", "more", "status", "error", "code", "wants_no_more"),
    [
        ("processed", {}, "sent", "", "", False),
        ("deferred", {"response": "451 later"}, "sent", "", "", False),
        ("delivered", {}, "delivered", "", "", False),
        ("bounce", {"type": "bounce"}, "bounced", "bad_address", "sendgrid:bounce", False),
        ("bounce", {"type": "blocked"}, "bounced", "blocked", "sendgrid:blocked", False),
        ("dropped", {"reason": "Bounced Address"}, "failed", "bad_address", "sendgrid:dropped", False),
        ("dropped", {"reason": "Invalid"}, "failed", "bad_address", "sendgrid:dropped", False),
        ("dropped", {"reason": "Unsubscribed Address"}, "failed", "opted_out", "sendgrid:dropped", False),
        ("dropped", {"reason": "Spam Reporting Address"}, "failed", "opted_out", "sendgrid:dropped", False),
        ("dropped", {"reason": "Spam Content"}, "failed", "blocked", "sendgrid:blocked", False),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, "failed", "permanent", "sendgrid:dropped", False),
        (
            "dropped",
            {"reason": "List over Package Quota"},
            "failed",
            "misconfigured",
            "sendgrid:dropped",
            False,
        ),
        ("dropped", {"reason": ["?"]}, "failed", "permanent", "sendgrid:dropped", False),
        ("spamreport", {}, None, "", "", True),
        ("unsubscribe", {}, None, "", "", True),
        ("group_unsubscribe", {}, None, "", "", True),
        ("group_resubscribe", {}, None, "", "", False),
        ("open", {}, None, "", "", False),
        ("click", {}, None, "", "", False),
        ("teleported", {}, None, "", "", False),
    ],
)
def test_each_event_is_one_of_our_words(  # noqa: PLR0917  # one row of the table
    kind: str, more: dict[str, Any], status: str | None, error: str, code: str, wants_no_more: bool
) -> None:
    [found] = read(json.dumps([event(MAIL, kind, **more)]).encode())
    assert (found.kind, found.code) == (kind, code)
    how = {"bounce_type": more.get("type", ""), "reason": str(more.get("reason", ""))}
    meant = sendgrid_events.error_for(kind, **how)
    assert (sendgrid_events.status_of(kind), meant.sort if meant else "") == (status, error)
    assert (kind in sendgrid_events.OPT_OUTS) is wants_no_more


def test_one_bad_event_costs_no_other() -> None:
    good = event(MAIL, "delivered")
    strange = {"event": "open", "timestamp": "soon", "sg_event_id": 7, "email": None, "attempt_id": {}}
    found = read(json.dumps([good, None, {"event": 5}, "text", [], strange, good]).encode())
    assert [one.kind for one in found] == ["delivered", *["unreadable"] * 4, "open", "delivered"]
    assert len({one.event_id for one in found}) == 6, "each its own, and a repeat the same"
    assert found[5].at is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'"text"', b"{}", b"5"])
def test_a_body_that_is_no_list_of_events_is_one_unreadable_event(body: bytes) -> None:
    assert [one.kind for one in read(body)] == ["unreadable"]
    assert read(body) == read(body), "so that its repeat is known"


def test_no_events_are_none() -> None:
    assert read(b"[]") == list[EmailEvent]()
