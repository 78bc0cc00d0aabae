"""Attacks 18 to 27: speaking in the name of a provider."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reminder
from backend.apps.core.sealed import same
from backend.apps.messaging.models import InboundText, ProviderEvent
from backend.apps.patients import contacts
from backend.apps.patients.models import ContactConsent, Patient
from integrations.doubles import sendgrid, twilio
from tests.security.attacks.attack import Answer, Attack
from tests.security.attacks.stack import AttackedStack, put_off
from tests.security.matrix import Practice
from tests.support.stage import until

STATUS, INBOUND, EVENTS = "/webhooks/twilio/status", "/webhooks/twilio/inbound", "/webhooks/sendgrid/events"
ACCOUNT, TOKEN = "AC" + "0" * 32, "test-token"
SMS = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT, "To": "+14155550100"}
TEXT = {
    "MessageSid": "SM" + "2" * 32,
    "From": "+14155558462",
    "To": "+14155550199",
    "Body": "STOP",
    "AccountSid": ACCOUNT,
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
UNSIGNED = {
    "twilio": "not signed by Twilio with a token of ours",
    "sendgrid": "not signed by SendGrid with a key of ours",
}


def post(
    attack: Attack,
    path: str,
    form: dict[str, str],
    *,
    status: Any = 403,
    signed: str = "",
    token: str = TOKEN,
    **more: Any,
) -> Answer:
    """Call as Twilio does; signed: the address the signature is of."""
    signature = more.pop("signature", twilio.sign(signed or attack.stack.url + path, form, token))
    headers = {**FORM, "X-Twilio-Signature": signature, **more.pop("headers", {})}
    return attack.call("post", path, data=urlencode(form), headers=headers, status=status, **more)


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "event": "delivered",
        "email": "qvxwzmail@example.org",
        "timestamp": int(time.time()),
        "sg_event_id": f"event-{number}",
        "sg_message_id": "abc",
        **more,
    }


def report(attack: Attack, body: bytes, *, status: Any = 403, **headers: str) -> Answer:
    """Call as SendGrid does, signed with its key unless `headers` say otherwise."""
    signed = sendgrid.sign(body, attack.stack.sendgrid_key)
    return attack.call("post", EVENTS, data=body, headers={**JSON, **signed, **headers}, status=status)


@pytest.fixture
def told(stack: AttackedStack, theirs: Practice) -> AppointmentReminder:
    """A reminder to the victim that was delivered."""
    visit = make_appointment(patient=theirs.patient, doctor=theirs.doctor)
    row = make_reminder(appointment=visit, recipient_phone="+14155558462")
    fields = {"status": "delivered", "work_state": "done", "external_id": "SM" + "3" * 32, "provider": "twilio"}
    moments = {"sent_at": timezone.now(), "delivered_at": timezone.now()}
    AppointmentReminder.work.filter(pk=row.pk).update(**fields, **moments)
    put_off()
    row.refresh_from_db()
    return row


def test_attack_18_a_call_without_a_good_signature_is_403_and_never_500(attack: Attack) -> None:
    junk = (
        None,
        "",
        "!",
        "=",
        "A" * 28,
        "x" * 9000,
        b"\xff\xfe\x00".replace(b"\x00", b""),
        "é".encode(),
        b"\xf0\x9f\x92\xa9",
    )
    for path, form in ((STATUS, SMS), (INBOUND, TEXT)):
        for signature in junk:
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            answer = attack.call("post", path, data=urlencode(form), headers={**FORM, **headers}, status=403)
            assert answer.content == b""
        for kind in ("application/json", "text/xml", "multipart/form-data; boundary=x", ""):
            attack.call("post", path, data=b"{}", headers={"Content-Type": kind}, status=403)
    body, good = json.dumps([event(1)]).encode(), sendgrid.sign(b"[]", attack.stack.sendgrid_key)
    for name in good:
        for value in junk:
            attack.call("post", EVENTS, data=body, headers={**JSON, **good, name: value}, status=403)
    attack.call("post", EVENTS, data=body, headers=JSON, status=403)
    attack.turned_away("twilio", UNSIGNED["twilio"], "not a form")
    attack.turned_away("sendgrid", UNSIGNED["sendgrid"])


def test_attack_19_a_signature_of_another_address_or_other_fields_is_refused(attack: Attack) -> None:
    base = attack.stack.url
    for signed in (base + INBOUND, base + STATUS + "/", base + STATUS + "?a=1", "http://evil.example" + STATUS, STATUS):
        post(attack, STATUS, SMS, signed=signed)
    good = twilio.sign(base + STATUS, SMS, TOKEN)
    for changed in (
        {"MessageStatus": "failed"},
        {"To": "+14155558462"},
        {"Extra": "1"},
        {"MessageSid": "SM" + "9" * 32},
    ):
        post(attack, STATUS, {**SMS, **changed}, signature=good)
    post(attack, f"{STATUS}?a=x", SMS, signature=good)
    post(attack, STATUS, {name: SMS[name] for name in list(SMS)[:2]}, signature=good)
    post(attack, INBOUND, TEXT, signature=twilio.sign(base + INBOUND, SMS, TOKEN))
    attack.turned_away("twilio", UNSIGNED["twilio"])


def test_attack_20_a_call_that_is_played_again_is_the_same_row(attack: Attack) -> None:
    form, body = {**SMS, "MessageSid": "SM" + "4" * 32}, json.dumps([event(20)]).encode()
    post(attack, STATUS, form, status=204)
    report(attack, body, status=204)
    made = ProviderEvent.objects.filter(message_id__in=[form["MessageSid"], "abc"])
    assert made.count() == 2
    keys = set(made.values_list("pk", flat=True))
    attack.may_change("messaging_providerevent")
    for _ in range(5):
        post(attack, STATUS, form, status=204)
        report(attack, body, status=204)
    assert set(made.values_list("pk", flat=True)) == keys
    attack.kept(made, at_least=2)


def test_attack_21_older_and_doubled_news_do_not_undo_what_is_known(attack: Attack, told: AppointmentReminder) -> None:
    attack.may_change("messaging_providerevent", "appointments_appointmentreminder")
    before = (told.sent_at, told.delivered_at)
    for status in ("delivered", "queued", "sending", "sent", "delivered"):  # the last is the first once more
        form = {**SMS, "MessageSid": "SM" + "3" * 32, "MessageStatus": status, "To": "+14155558462"}
        post(attack, f"{STATUS}?a={told.pk}.1", form, status=204)
    kept = ProviderEvent.objects.filter(message_id="SM" + "3" * 32)
    until(lambda: kept.exists() and not kept.exclude(work_state="done").exists())
    told.refresh_from_db()
    assert (told.status, told.sent_at, told.delivered_at) == ("delivered", *before)
    attack.kept(kept, at_least=4)


def test_attack_22_what_a_caller_says_of_host_and_scheme_is_not_believed(attack: Attack, mine: Practice) -> None:
    for host in ("evil.example", "127.0.0.1:1", "localhost"):
        headers = {"X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "Forwarded": f"host={host};proto=https"}
        for scheme in ("http", "https"):
            post(attack, STATUS, SMS, signed=f"{scheme}://{host}{STATUS}", headers=headers)
    lists, lying = "/api/v1/patients/?limit=1", {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    page = attack.call("get", lists, by=mine.logins["admin"], headers=lying, status=200, shows=True)
    assert page.json()["next"].startswith(f"{attack.stack.url}/api/v1/patients/?"), "the address of the next page"
    attack.turned_away("twilio", UNSIGNED["twilio"])


def test_attack_23_a_call_for_another_account_is_not_ours_however_it_is_signed(attack: Attack) -> None:
    for account in ("AC" + "9" * 32, "", "ac" + "0" * 32, ACCOUNT + " "):
        post(attack, STATUS, {**SMS, "AccountSid": account})
        post(attack, INBOUND, {**TEXT, "AccountSid": account})
    post(attack, INBOUND, {name: value for name, value in TEXT.items() if name != "AccountSid"})
    attack.turned_away("twilio", "for another account")


def test_attack_24_huge_deep_and_packed_bodies_are_refused_at_once(attack: Attack) -> None:
    began = time.monotonic()
    many = json.dumps([event(number) for number in range(20_000)]).encode()
    packed = gzip.compress(b"[" + b" " * 10_000_000 + b"]")
    for body in (many, b"[" + b" " * 10_000_000 + b"]", b"[" * 100_000 + b"]" * 100_000):
        report(attack, body, status={204, 403, 413})
    report(attack, packed, status=415, **{"Content-Encoding": "gzip"})
    for form in ({**TEXT, "Body": "x" * 10_000_000}, {**TEXT, **{f"x{n}": "" for n in range(5000)}}):
        post(attack, INBOUND, form, status={403, 413})
    for kind in ("chunked", "pieces"):
        pieces = (b"x" * 65536 for _ in range(160 if kind == "chunked" else 20))
        attack.call("post", INBOUND, data=pieces, headers=FORM, status={403, 413})
    assert time.monotonic() - began < 30
    attack.turned_away("twilio", "too large", "unreadable (ValueError)")
    attack.turned_away("sendgrid", "too large")
    attack.may_change("messaging_providerevent")
    of_it = same(ProviderEvent, "mailbox_index", event(0)["email"])
    assert not ProviderEvent.objects.filter(of_it, created_at__gte=attack.began).exists()


def test_attack_25_mail_that_nobody_signed_has_no_door(attack: Attack) -> None:
    mail = {"from": "qvxwzmail@example.org", "to": "clinic@example.org", "subject": "STOP", "text": "cancel my visit"}
    for path in ("inbound", "parse", "events", "events/", "inbound/parse"):
        attack.call("post", f"/webhooks/sendgrid/{path}", data=mail, status={403, 404})
        attack.call("post", f"/webhooks/sendgrid/{path}", files={"email": ("m.eml", b"From: x")}, status={403, 404})
        attack.call("get", f"/webhooks/sendgrid/{path}", status={404, 405})
    attack.turned_away("sendgrid", UNSIGNED["sendgrid"])


def test_attack_26_a_report_of_another_time_or_written_anew_is_refused(attack: Attack) -> None:
    key = attack.stack.sendgrid_key
    body, now = json.dumps([event(26)]).encode(), int(time.time())
    stamp, sign = "X-Twilio-Email-Event-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature"
    for old in (now - 30 * 3600, now + 3600, 0, 10**11):
        report(attack, body, **sendgrid.sign(body, key, timestamp=str(old)))
    for shifted in (str(now + 1), str(now)[:-1], f"{now}.0", str(now) + "["):
        report(attack, body, **{**sendgrid.sign(body, key, timestamp=str(now)), stamp: shifted})
    good = sendgrid.sign(body, key, timestamp=str(now))
    for shifted, rest in ((f"{now}[", body[1:]), (str(now)[:-1], str(now)[-1:].encode() + body)):  # signed together
        attack.call("post", EVENTS, data=rest, headers={**JSON, **good, stamp: shifted}, status=403)
    for other in (
        json.dumps([event(26)], indent=1).encode(),
        body + b" ",
        body[1:-1],
        b"[" + body + b"]",
        body.replace(b"26", b"27"),
    ):
        attack.call("post", EVENTS, data=other, headers={**JSON, **good}, status=403)
    report(attack, body, **{sign: sendgrid.sign(body, sendgrid.key_pair()[0])[sign]})
    attack.turned_away("sendgrid", UNSIGNED["sendgrid"])


def test_attack_27_nobody_stops_or_starts_texts_to_a_victim_but_the_victims_own_telephone(
    attack: Attack, theirs: Practice
) -> None:
    for word in ("STOP", "START", "YES"):
        form = {**TEXT, "Body": word, "OptOutType": word}
        post(attack, INBOUND, form, signature="")
        post(attack, INBOUND, form, token="another-token")
        post(attack, INBOUND, form, token="")
        post(attack, INBOUND, form, signed=attack.stack.url + STATUS)
        good = twilio.sign(attack.stack.url + INBOUND, {**form, "From": "+14155550111"}, TOKEN)
        post(attack, INBOUND, form, signature=good)
    for found in (
        InboundText.objects.filter(InboundText.sent_from(TEXT["From"])),
        contacts.known_at("sms", TEXT["From"]),
        ContactConsent.objects.filter(patient=theirs.patient),
    ):
        assert not found.exists()
    assert Patient.objects.get(pk=theirs.patient.pk).sms_consent is theirs.patient.sms_consent
    attack.turned_away("twilio", UNSIGNED["twilio"])
