"""Settings to transports: the only place that picks a provider."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from integrations.email import EmailTransport
from integrations.email.sandbox import SandboxEmail
from integrations.email.sendgrid import SendGridEmail
from integrations.errors import Permanent
from integrations.hl7.mllp import MllpClient
from integrations.sms import SmsTransport
from integrations.sms.sandbox import SandboxSms
from integrations.sms.twilio import TwilioSms

_clients = threading.local()  # one client per thread: the SDKs share state between calls


def sms() -> SmsTransport:
    """Return this thread's transport for text messages."""
    if not hasattr(_clients, "sms"):
        _clients.sms = _sms(settings.SMS_TRANSPORT)
    transport: SmsTransport = _clients.sms
    return transport


def email() -> EmailTransport:
    """Return this thread's transport for e-mail."""
    if not hasattr(_clients, "email"):
        _clients.email = _email(settings.EMAIL_TRANSPORT)
    transport: EmailTransport = _clients.email
    return transport


def laboratory(host: str, port: int, *, tls: bool) -> MllpClient:
    """Return this thread's connection to a laboratory; it stays open between messages."""
    open_ones: dict[tuple[str, int, bool], MllpClient] = _clients.__dict__.setdefault("laboratories", {})
    if (host, port, tls) not in open_ones:
        context = _tls_to_laboratories() if tls else None
        open_ones[host, port, tls] = MllpClient(host, port, timeout_s=settings.LAB_ORDERS_TIMEOUT_S, tls=context)
    return open_ones[host, port, tls]


def outbox() -> Path:
    """Return the folder where the sandbox keeps what it would have sent."""
    return Path(settings.DATA_DIR) / "outbox"


def _tls_to_laboratories() -> ssl.SSLContext:
    """Return how we check laboratories, and our own certificate for those that ask for one."""
    try:
        context = ssl.create_default_context(cafile=settings.LAB_ORDERS_CA or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.LAB_ORDERS_CERTIFICATE:
            context.load_cert_chain(settings.LAB_ORDERS_CERTIFICATE, settings.LAB_ORDERS_KEY or None)
    except OSError:  # SSLError too
        raise Permanent("the certificates for laboratories cannot be read", code="mllp:certificate") from None
    return context


def _sms(name: str) -> SmsTransport:
    if name == "twilio":
        return TwilioSms(
            account_sid=settings.TWILIO_ACCOUNT_SID,
            auth_token=settings.TWILIO_AUTH_TOKEN,
            sender=settings.TWILIO_FROM,
            base_url=settings.TWILIO_BASE_URL,
        )
    if name == "sandbox":
        return SandboxSms(outbox())
    raise ImproperlyConfigured("CARERELAY_SMS is one of twilio, sandbox.")


def _email(name: str) -> EmailTransport:
    if name == "sendgrid":
        return SendGridEmail(
            api_key=settings.SENDGRID_API_KEY, sender=settings.SENDGRID_FROM, base_url=settings.SENDGRID_BASE_URL
        )
    if name == "sandbox":
        return SandboxEmail(outbox())
    raise ImproperlyConfigured("CARERELAY_EMAIL is one of sendgrid, sandbox.")
