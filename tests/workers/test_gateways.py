"""Holds the choice of providers: settings decide, once per thread, and a wrong name is refused in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from backend.apps.messaging.senders import Bucket
from backend.config import environment
from integrations.doubles.sendgrid import SendGridDouble
from integrations.doubles.twilio import TwilioDouble
from integrations.email import Email
from integrations.email.sandbox import SandboxEmail
from integrations.email.sendgrid import SendGridEmail
from integrations.email.smtp import SmtpEmail
from integrations.errors import Misconfigured
from integrations.sms import Sms
from integrations.sms.sandbox import SandboxSms
from integrations.sms.twilio import TwilioSms
from workers import gateways

SMS = Sms(to="+14155550123", body="hello", attempt_id="a1")
MAIL = Email(to="pat@example.org", subject="hello", text="hello", attempt_id="a1")


@pytest.fixture(autouse=True)
def as_a_new_thread() -> Iterator[None]:
    gateways._clients.__dict__.clear()
    yield
    gateways._clients.__dict__.clear()


@pytest.fixture
def credentials(settings: Any) -> Any:
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC" + "0" * 32, "test-token"
    settings.TWILIO_FROM, settings.SENDGRID_API_KEY = "+14155550199", "test-key"
    settings.SENDGRID_FROM = settings.SMTP_FROM = "clinic@example.org"
    return settings


@pytest.mark.parametrize(
    ("setting", "name", "make", "kind"),
    [
        ("SMS_TRANSPORT", "twilio", gateways.sms, TwilioSms),
        ("SMS_TRANSPORT", "sandbox", gateways.sms, SandboxSms),
        ("EMAIL_TRANSPORT", "smtp", gateways.email, SmtpEmail),
        ("EMAIL_TRANSPORT", "sendgrid", gateways.email, SendGridEmail),
        ("EMAIL_TRANSPORT", "sandbox", gateways.email, SandboxEmail),
    ],
)
def test_the_setting_names_the_provider(
    credentials: Any, setting: str, name: str, make: Callable[[], Any], kind: type
) -> None:
    setattr(credentials, setting, name)
    assert isinstance(make(), kind)


@pytest.mark.parametrize(("setting", "make"), [("SMS_TRANSPORT", gateways.sms), ("EMAIL_TRANSPORT", gateways.email)])
def test_an_unknown_provider_is_refused_with_the_names_there_are(
    settings: Any, setting: str, make: Callable[[], Any]
) -> None:
    setattr(settings, setting, "pigeon")
    with pytest.raises(ImproperlyConfigured, match=r"is one of .*sandbox"):
        make()


@pytest.mark.parametrize("make", [gateways.sms, gateways.email])
def test_a_thread_keeps_its_client_and_shares_it_with_no_other(settings: Any, make: Callable[[], Any]) -> None:
    settings.SMS_TRANSPORT = settings.EMAIL_TRANSPORT = "sandbox"
    mine, others = make(), list[Any]()
    thread = threading.Thread(target=lambda: others.extend([make(), make()]))
    thread.start()
    thread.join()
    assert make() is mine
    assert others[0] is others[1]
    assert others[0] is not mine


def test_settings_no_client_can_be_made_of_are_our_own_fault_and_nobodys_row(credentials: Any) -> None:
    credentials.EMAIL_TRANSPORT, credentials.SMTP_HOST, credentials.SMTP_FROM = "smtp", "127.0.0.1", ""
    with pytest.raises(Misconfigured, match="email:settings"):
        gateways.email()


@pytest.mark.parametrize("value", ["test-key\n", " test-key\r\n"])
def test_a_key_is_read_without_what_stands_around_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    (tmp_path / "key").write_text(value)
    monkeypatch.setenv("A_KEY", value)
    assert environment.secret("A_KEY") == "test-key"
    monkeypatch.setenv("A_KEY_FILE", str(tmp_path / "key"))
    assert environment.secret("A_KEY") == "test-key"


def test_a_new_setting_makes_a_new_client(settings: Any, tmp_path: Path) -> None:
    settings.SMS_TRANSPORT, settings.DATA_DIR = "sandbox", tmp_path
    first = gateways.sms()
    settings.DATA_DIR = tmp_path / "other"
    assert gateways.sms() is not first
    assert gateways.sms() is gateways.sms()


@pytest.mark.parametrize(
    ("url", "double", "reports_to"),
    [
        ("https://clinic.example", "", "https://clinic.example/webhooks/twilio/status"),
        ("http://clinic.example", "", ""),
        ("https://localhost", "", ""),
        ("http://127.0.0.1:8000", "http://127.0.0.1:24010", "http://127.0.0.1:8000/webhooks/twilio/status"),
    ],
)
def test_twilio_reports_only_where_it_can_reach_us(credentials: Any, url: str, double: str, reports_to: str) -> None:
    credentials.PUBLIC_BASE_URL, credentials.TWILIO_BASE_URL = url, double
    assert gateways._status_callback() == reports_to


@pytest.mark.parametrize(
    ("channel", "transport", "bucket"),
    [
        ("sms", "twilio", Bucket("twilio:+14155550199", "sms", 1.0)),
        ("sms", "sandbox", Bucket("sandbox:", "sms", None)),
        ("email", "sendgrid", Bucket("sendgrid:clinic@example.org", "email", 50.0)),
    ],
)
def test_each_sender_has_a_bucket_of_its_own(credentials: Any, channel: str, transport: str, bucket: Bucket) -> None:
    credentials.SMS_TRANSPORT = credentials.EMAIL_TRANSPORT = transport
    if channel == "sms":
        credentials.EMAIL_TRANSPORT = "sandbox"
    assert gateways.sender(channel) == bucket


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/x"])
def test_production_is_not_started_with_a_provider_on_this_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TWILIO_BASE_URL", url)
    assert environment.provider_at("TWILIO_BASE_URL", in_production=False) == url
    with pytest.raises(ImproperlyConfigured, match="TWILIO_BASE_URL names this machine"):
        environment.provider_at("TWILIO_BASE_URL", in_production=True)
    monkeypatch.setenv("TWILIO_BASE_URL", "https://api.example.org")
    assert environment.provider_at("TWILIO_BASE_URL", in_production=True) == "https://api.example.org"


def test_a_provider_that_does_not_exist_is_refused_before_a_row_is_leased(settings: Any) -> None:
    settings.SMS_TRANSPORT = "pigeon"
    with pytest.raises(ImproperlyConfigured):
        gateways.sender("sms")


def test_account_and_address_come_from_the_settings(credentials: Any) -> None:
    credentials.SMS_TRANSPORT, credentials.EMAIL_TRANSPORT = "twilio", "sendgrid"
    with TwilioDouble() as twilio, SendGridDouble() as sendgrid:
        credentials.TWILIO_BASE_URL, credentials.SENDGRID_BASE_URL = twilio.url, sendgrid.url
        assert gateways.sms().send(SMS) == twilio.sent[0].sid
        assert gateways.email().send(MAIL) == sendgrid.sent[0].message_id
        assert twilio.sent[0].sender == "+14155550199"
        assert "/Accounts/AC" + "0" * 32 in twilio.requests[0].path
        assert sendgrid.requests[0].headers["Authorization"] == "Bearer test-key"


def test_without_credentials_the_message_lands_in_the_outbox_of_the_data_folder(settings: Any, tmp_path: Path) -> None:
    settings.SMS_TRANSPORT, settings.DATA_DIR = "sandbox", tmp_path
    name = gateways.sms().send(SMS)
    assert (tmp_path / "outbox" / f"{name}.json").exists()
