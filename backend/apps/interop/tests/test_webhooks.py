"""Proves that only the providers' own calls are kept, each once, whatever stands between them and us."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.cache import cache
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from backend.apps.core.models import Alert, AuditLog
from backend.apps.interop.twilio_webhooks import status
from backend.apps.messaging.models import ProviderEvent
from integrations.doubles import sendgrid as sendgrid_double
from integrations.doubles import twilio as twilio_double
from tests.support.clocks import held_minute

pytestmark = pytest.mark.django_db

BASE, ACCOUNT, TOKEN = "https://clinic.example", "AC" + "0" * 32, "test-token"
STATUS, INBOUND, EVENTS = "/webhooks/twilio/status", "/webhooks/twilio/inbound", "/webhooks/sendgrid/events"
ATTEMPT = "0199f5c6-0000-7000-8000-000000000001.3"
SMS = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT, "To": "+14155550100"}
TEXT = {"MessageSid": "SM" + "2" * 32, "From": "+14155550100", "To": "+14155550199", "Body": "1", "AccountSid": ACCOUNT}


@pytest.fixture(autouse=True)
def ours(settings: Any) -> None:
    settings.PUBLIC_BASE_URL, settings.TWILIO_ACCOUNT_SID, settings.TWILIO_TOKENS = BASE, ACCOUNT, [TOKEN]
    cache.delete_many([f"webhook-refused:{provider}" for provider in ("twilio", "sendgrid")])


def post(path: str, form: dict[str, str], *, signed: str | None = None, **more: Any) -> HttpResponse:
    """Call as Twilio does; signed: what the signature covers, the public address unless said otherwise."""
    signature = more.pop("signature", twilio_double.sign(signed or BASE + path, form, more.pop("token", TOKEN)))
    headers = {"X-Twilio-Signature": signature, **more.pop("headers", {})}
    form_type = "application/x-www-form-urlencoded"
    return Client().post(path, urlencode(form), content_type=form_type, headers=headers, **more)  # type: ignore[return-value]  # a test's answer is one


def piecewise(path: str, form: dict[str, str], body: bytes) -> ASGIRequest:
    """Return a signed call of Twilio's without a Content-Length, as the server hands it on."""
    said = {"content-type": "application/x-www-form-urlencoded", "transfer-encoding": "chunked"}
    said["x-twilio-signature"] = twilio_double.sign(BASE + path, form, TOKEN)
    headers = [(name.encode(), value.encode()) for name, value in said.items()]
    return ASGIRequest({"method": "POST", "path": path, "query_string": b"", "headers": headers}, BytesIO(body))


@pytest.fixture
def key(settings: Any) -> ec.EllipticCurvePrivateKey:
    private, public = sendgrid_double.key_pair()
    settings.SENDGRID_WEBHOOK_KEYS = [public]
    return private


class TestTwilio:
    def test_a_status_is_kept_with_the_try_it_is_about(self) -> None:
        answer = post(f"{STATUS}?a={ATTEMPT}", {**SMS, "MessageStatus": "undelivered", "ErrorCode": "30005"})
        assert answer.status_code == 204
        row = ProviderEvent.objects.get()
        told = (row.provider, row.kind, row.attempt_id, row.message_id, row.provider_status, row.error_code)
        assert told == ("twilio", "status", ATTEMPT, SMS["MessageSid"], "undelivered", "30005")
        assert row.work_state == "waiting"

    def test_r27_the_same_call_again_is_the_same_row(self) -> None:
        for _ in range(3):
            assert post(STATUS, SMS).status_code == 204
            assert post(INBOUND, TEXT).status_code == 200
        post(STATUS, {**SMS, "MessageStatus": "sent"})
        assert ProviderEvent.objects.count() == 3

    def test_an_answer_of_a_patient_is_kept_whole_and_answered_with_nothing(self) -> None:
        answer = post(INBOUND, {**TEXT, "Body": "sí 👍\x00", "OptOutType": "", "MediaUrl0": ""})
        assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"<Response/>", "text/xml")
        row = ProviderEvent.objects.get()
        assert (row.kind, row.message_id, row.payload["Body"]) == ("inbound", TEXT["MessageSid"], "sí 👍")

    def test_of_pictures_it_is_kept_how_many_came_and_not_where_they_are(self) -> None:
        post(INBOUND, {**TEXT, "Body": "", "NumMedia": "1", "MediaUrl0": "https://api.example/Media/ME1"})
        payload = ProviderEvent.objects.get().payload
        assert (payload["NumMedia"], payload["From"], "Media/ME1" in str(payload)) == (1, TEXT["From"], False)

    @pytest.mark.parametrize(
        "way",
        [
            {"headers": {"host": "localhost:8000"}},
            {"headers": {"x-forwarded-proto": "http", "x-forwarded-host": "elsewhere.example"}},
            {"secure": True},
            {"signed": f"https://clinic.example:443{STATUS}"},
        ],
    )
    def test_what_a_proxy_makes_of_host_scheme_and_port_does_not_matter(self, way: dict[str, Any]) -> None:
        assert post(STATUS, SMS, **way).status_code == 204

    @pytest.mark.parametrize(
        "forged",
        [
            {"token": "another-token"},
            {"signature": ""},
            {"signature": "!"},
            {"signed": f"http://clinic.example{STATUS}"},
            {"signed": f"https://internal:8000{STATUS}"},
            {"signed": f"{BASE}{STATUS}/"},
            {"signed": f"{BASE}{STATUS}?a=1"},
        ],
    )
    def test_a_call_that_was_not_signed_for_this_address_is_refused(self, forged: dict[str, Any]) -> None:
        answer = post(STATUS, SMS, **forged)
        assert (answer.status_code, answer.content) == (403, b"")
        assert not ProviderEvent.objects.exists()

    def test_a_call_without_a_signature_is_refused(self) -> None:
        assert Client().post(STATUS, SMS).status_code == 403
        assert Client().post(STATUS, json.dumps(SMS), content_type="application/json").status_code == 403

    def test_another_query_or_form_than_the_signed_one_is_refused(self) -> None:
        signature = twilio_double.sign(f"{BASE}{STATUS}?a={ATTEMPT}", SMS, TOKEN)
        assert post(f"{STATUS}?a=x", SMS, signature=signature).status_code == 403
        assert post(f"{STATUS}?a={ATTEMPT}&b=1", SMS, signature=signature).status_code == 403
        changed = {**SMS, "MessageStatus": "failed"}
        assert post(f"{STATUS}?a={ATTEMPT}", changed, signature=signature).status_code == 403

    @pytest.mark.parametrize("tokens", [[], [""], ["", ""]])
    def test_without_a_token_of_ours_everybody_is_refused(self, settings: Any, tokens: list[str]) -> None:
        settings.TWILIO_TOKENS = tokens
        assert post(STATUS, SMS, token="").status_code == 403
        assert post(STATUS, SMS).status_code == 403

    def test_while_tokens_are_exchanged_either_signs(self, settings: Any) -> None:
        settings.TWILIO_TOKENS = ["new-token", TOKEN]
        assert post(STATUS, SMS).status_code == 204
        assert post(STATUS, SMS, token="new-token").status_code == 204

    @pytest.mark.parametrize("account", ["AC" + "9" * 32, ""])
    def test_a_call_for_another_account_is_refused(self, account: str) -> None:
        assert post(STATUS, {**SMS, "AccountSid": account}).status_code == 403
        assert post(INBOUND, {**TEXT, "AccountSid": account}).status_code == 403

    def test_no_account_of_ours_is_nobodys_account(self, settings: Any) -> None:
        settings.TWILIO_ACCOUNT_SID = ""
        assert post(STATUS, {**SMS, "AccountSid": ""}).status_code == 403

    @pytest.mark.parametrize("missing", ["MessageSid", "MessageStatus"])
    def test_a_call_that_says_nothing_is_refused(self, missing: str) -> None:
        assert post(STATUS, {name: value for name, value in SMS.items() if name != missing}).status_code == 403

    def test_a_call_of_more_than_64_kilobytes_is_refused(self) -> None:
        assert post(INBOUND, {**TEXT, "Body": "x" * 66_000}).status_code == 403
        assert post(INBOUND, {**TEXT, **{f"x{n}": "" for n in range(300)}}).status_code == 403

    def test_a_call_that_a_proxy_passes_on_piece_by_piece_is_read_up_to_the_cap(self) -> None:
        body = urlencode(SMS).encode()
        assert status(piecewise(STATUS, SMS, body)).status_code == 204
        long = piecewise(STATUS, SMS, body + b"&x=" + b"x" * 10_000_000)
        assert status(long).status_code == 403
        assert long._stream.tell() < 100_000

    def test_only_posts_are_answered_and_nothing_is_redirected(self) -> None:
        assert Client().get(STATUS).status_code == 405
        assert post(f"{STATUS}/", SMS).status_code == 404


class TestSendGrid:
    def send(self, body: bytes, headers: dict[str, str]) -> HttpResponse:
        return Client().post(EVENTS, body, content_type="application/json", headers=headers)  # type: ignore[return-value]  # a test's answer is one

    def batch(self, *events: dict[str, Any]) -> bytes:
        return json.dumps(events).encode()

    def event(self, number: int, **more: Any) -> dict[str, Any]:
        return {
            "event": "delivered",
            "email": "pat@example.org",
            "timestamp": int(datetime.now(UTC).timestamp()),
            "sg_event_id": f"event-{number}",
            "sg_message_id": "abc123.filter0001.16648.5515E0B88.0",
            "attempt_id": ATTEMPT,
            **more,
        }

    def test_r27_a_batch_is_kept_event_by_event_and_once(self, key: ec.EllipticCurvePrivateKey) -> None:
        body = self.batch(self.event(1), self.event(2, event="bounce", type="bounce", status="5.1.1"), self.event(1))
        for _ in range(2):
            assert self.send(body, sendgrid_double.sign(body, key)).status_code == 204
        first, second = ProviderEvent.objects.order_by("dedupe_key")
        assert (first.kind, first.attempt_id, first.message_id) == ("event", ATTEMPT, "abc123")
        assert (second.provider_status, second.error_code) == ("bounce", "sendgrid:5.1.1")
        assert (second.payload["type"], second.payload["email"]) == ("bounce", "pat@example.org")
        assert first.occurred_at is not None

    @pytest.mark.parametrize(
        "bad",
        [
            {"event": 7},
            {"sg_event_id": None},
            {"reason": "nul \x00 and half \ud83d"},
            {"event": "half \ud83d"},
            {"attempt_id": "\x00" * 99},
            {"pool": {"deep": [1, {"er": "\x00"}]}},
            {"timestamp": 10**40},
            {"timestamp": float("inf"), "ip": float("nan")},
            {"sg_event_id": "e" * 5000, "sg_message_id": "m" * 5000, "event": "v" * 5000, "x" * 5000: "y" * 5000},
        ],
    )
    def test_one_bad_event_costs_no_other(self, key: ec.EllipticCurvePrivateKey, bad: dict[str, Any]) -> None:
        body = self.batch(self.event(1), {**self.event(2), **bad}, self.event(3))
        assert self.send(body, sendgrid_double.sign(body, key)).status_code == 204
        assert ProviderEvent.objects.count() == 3
        kept = ProviderEvent.objects.filter(dedupe_key__in=["sendgrid:event-1", "sendgrid:event-3"])
        assert kept.filter(provider_status="delivered").count() == 2

    @pytest.mark.parametrize("body", [b"[1, null, []]", b"[", b'["\xff"]'])
    def test_what_is_no_event_does_no_harm(self, key: ec.EllipticCurvePrivateKey, body: bytes) -> None:
        assert self.send(body, sendgrid_double.sign(body, key)).status_code in {204, 403}
        assert not ProviderEvent.objects.exclude(provider_status="unreadable").exists()

    def test_a_body_that_was_changed_on_its_way_is_refused(self, key: ec.EllipticCurvePrivateKey) -> None:
        body = self.batch(self.event(1)) + b"\r\n"
        headers = sendgrid_double.sign(body, key)
        assert self.send(body.strip(), headers).status_code == 403
        assert self.send(json.dumps(json.loads(body), indent=1).encode(), headers).status_code == 403
        assert self.send(body, headers).status_code == 204

    def test_an_old_a_moved_and_a_missing_time_are_refused(self, key: ec.EllipticCurvePrivateKey) -> None:
        body = self.batch(self.event(1))
        old = sendgrid_double.sign(body, key, timestamp="1577836800")
        headers = sendgrid_double.sign(body, key)
        name = "X-Twilio-Email-Event-Webhook-Timestamp"
        assert self.send(body, old).status_code == 403
        assert self.send(headers[name][-1:].encode() + body, {**headers, name: headers[name][:-1]}).status_code == 403
        assert self.send(body, {**headers, name: ""}).status_code == 403
        assert self.send(body, {}).status_code == 403

    @pytest.mark.parametrize("keys", [[], [""], ["not a key"]])
    def test_without_a_key_of_sendgrids_everybody_is_refused(
        self, key: ec.EllipticCurvePrivateKey, settings: Any, keys: list[str]
    ) -> None:
        settings.SENDGRID_WEBHOOK_KEYS = keys
        body = self.batch(self.event(1))
        assert self.send(body, sendgrid_double.sign(body, key)).status_code == 403

    def test_a_call_of_more_than_a_megabyte_is_refused(self, key: ec.EllipticCurvePrivateKey) -> None:
        body = self.batch(self.event(1, reason="x" * 1024 * 1024))
        assert self.send(body, sendgrid_double.sign(body, key)).status_code == 403


class TestRefusals:
    @pytest.fixture(autouse=True)
    def minute(self) -> Iterator[None]:
        with held_minute():
            yield

    def test_a_refusal_is_told_without_a_word_of_the_call(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            post(INBOUND, {**TEXT, "Body": "I am Zebedee"}, token="another")
            post(INBOUND, {"From": "+14155550100", "Body": "I am Zebedee", "AccountSid": ACCOUNT})
        assert caplog.text.count("in the name of twilio was refused") == 2
        rows = AuditLog.objects.filter(action="refuse_call", resource_id="twilio", outcome="refused")
        assert {row.detail["reason"] for row in rows} == {
            "not signed by Twilio with a token of ours",
            "unreadable (Permanent)",
        }
        told = f"{caplog.text}{list(rows.values())}"
        assert not [word for word in ("Zebedee", "4155550100", TEXT["MessageSid"]) if word in told]

    def test_each_reason_is_written_down_by_itself(self, key: ec.EllipticCurvePrivateKey) -> None:
        post(STATUS, {**SMS, "AccountSid": "AC" + "9" * 32})
        post(STATUS, {name: value for name, value in SMS.items() if name != "MessageSid"})
        Client().post(STATUS, b"x" * 70_000, content_type="application/x-www-form-urlencoded")
        Client().post(STATUS, b"{}", content_type="application/json")
        Client().post(EVENTS, b"[]", content_type="application/json")
        told = AuditLog.objects.filter(action="refuse_call").values_list("resource_id", "detail__reason")
        assert set(told) == {
            ("twilio", "for another account"),
            ("twilio", "unreadable (Permanent)"),
            ("twilio", "too large"),
            ("twilio", "not a form"),
            ("sendgrid", "not signed by SendGrid with a key of ours"),
        }

    def test_many_refusals_are_told_to_the_operator_once(self) -> None:
        for _ in range(12):
            post(STATUS, SMS, token="another")
        assert Alert.objects.get().kind == "webhook_refused"

    def test_a_refusal_nobody_can_be_told_of_is_a_refusal_all_the_same(self, caplog: pytest.LogCaptureFixture) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_alert ADD CHECK (kind <> 'webhook_refused')")
        answers = [post(STATUS, SMS, token="another") for _ in range(12)]
        assert {answer.status_code for answer in answers} == {403}
        assert "nobody was told" in caplog.text
        assert not Alert.objects.exists()

    def test_a_database_that_refuses_asks_the_provider_to_come_again(self, caplog: pytest.LogCaptureFixture) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE messaging_providerevent ADD CHECK (kind <> 'inbound')")
        with caplog.at_level(logging.DEBUG):
            answer = post(INBOUND, {**TEXT, "Body": "I am Zebedee"})
        assert (answer.status_code, answer.content) == (503, b"")
        assert "IntegrityError" in caplog.text
        assert "Zebedee" not in caplog.text
