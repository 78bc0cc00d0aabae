"""Settings to transports: the only place that picks a provider."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from backend.apps.insurance.models import TradingPartner
from backend.apps.insurance.models.partners import Transport
from backend.apps.messaging.senders import Bucket
from backend.config import production
from integrations.clearinghouse.folder import FolderClearinghouse
from integrations.clearinghouse.https import Api, HttpsClearinghouse
from integrations.clearinghouse.port import Direct, Staged
from integrations.clearinghouse.sftp import SftpClearinghouse
from integrations.clearinghouse.ssh import Account
from integrations.email import EmailTransport
from integrations.email.sandbox import SandboxEmail
from integrations.email.sendgrid import SendGridEmail
from integrations.email.smtp import SmtpEmail, connector
from integrations.errors import Misconfigured, Permanent
from integrations.hl7.mllp import MllpClient
from integrations.sms import SmsTransport
from integrations.sms.sandbox import SandboxSms
from integrations.sms.twilio import TwilioSms

NAMED = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]+(.+)")  # a header's name is one word: RFC 9110, 5.1
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_clients = threading.local()  # one client per thread: the SDKs share state between calls


def sms() -> SmsTransport:
    """Return this thread's transport for text messages."""
    transport: SmsTransport = _kept("sms", *_sms(settings.SMS_TRANSPORT))
    return transport


def email() -> EmailTransport:
    """Return this thread's transport for e-mail."""
    transport: EmailTransport = _kept("email", *_email(settings.EMAIL_TRANSPORT))
    return transport


def provider(channel: str) -> str:
    """Return the name of the provider that takes messages of "sms" or "email"."""
    return str(settings.SMS_TRANSPORT if channel == "sms" else settings.EMAIL_TRANSPORT)


def account(channel: str) -> str:
    """Return by which account and sender of ours that provider is spoken to: what it took is found only there."""
    name = provider(channel)
    ours = {
        "twilio": (settings.TWILIO_ACCOUNT_SID, settings.TWILIO_FROM),
        "sendgrid": (settings.SENDGRID_BASE_URL, settings.SENDGRID_FROM),
        "smtp": (settings.SMTP_HOST, settings.SMTP_FROM),
    }
    return " ".join(filter(None, ours.get(name, (name,))))[:120]


def sender(channel: str) -> Bucket:
    """Return what our sender at that provider is called and how fast patients may be written to by it.

    Pages to the staff do not count: they are few, and may not wait.

    Raises:
        ImproperlyConfigured: there is no such provider; nothing has been leased for it yet.
    """
    name = provider(channel)
    (_sms if channel == "sms" else _email)(name)
    ours = {"twilio": settings.TWILIO_FROM, "sendgrid": settings.SENDGRID_FROM, "smtp": settings.SMTP_FROM}.get(
        name, ""
    )
    rate = settings.SMS_PER_SECOND if channel == "sms" else settings.EMAILS_PER_SECOND
    return Bucket(f"{name}:{ours}"[:120], channel, None if name == "sandbox" else rate)


def laboratory(host: str, port: int, *, tls: bool) -> MllpClient:
    """Return this thread's connection to a laboratory; it stays open between messages.

    Raises:
        Misconfigured: by plain text, in production, where no operator let it be.
    """
    if not tls and settings.IN_PRODUCTION and "lab_orders" not in production.plain():
        raise Misconfigured("orders would leave in plain text", code="mllp:plain")
    open_ones: dict[tuple[str, int, bool], MllpClient] = _clients.__dict__.setdefault("laboratories", {})
    if (host, port, tls) not in open_ones:
        context = _tls_to_laboratories() if tls else None
        open_ones[host, port, tls] = MllpClient(host, port, timeout_s=settings.LAB_ORDERS_TIMEOUT_S, tls=context)
    return open_ones[host, port, tls]


def clearinghouse(partner: TradingPartner) -> Staged | Direct:
    """Return a way to a partner of claims; nothing is opened before the first call.

    Its secret is a file of our own: of SFTP a private key or a password, of HTTPS the value of the header Authorization
    or a line "Name: value". Folders lie below PARTNER_FOLDERS.

    Raises:
        Misconfigured: no way can be made of what is known of the partner.
    """
    if partner.transport == Transport.FOLDER:
        if not partner.outbound_folder or not partner.inbound_folder:
            raise Misconfigured("a partner in folders needs both of them", code="folder:missing")
        drop, pickup = _partner_folder(partner.outbound_folder), _partner_folder(partner.inbound_folder)
        return FolderClearinghouse(drop_folder=drop, pickup_folder=pickup, root=str(_partners_root()))
    secret = _partner_secret(partner.secret_name)
    if partner.transport == Transport.SFTP:
        is_key = secret.startswith("-----BEGIN")
        return SftpClearinghouse(
            Account(
                host=partner.host,
                port=partner.port,
                username=partner.username,
                host_key=partner.host_key,
                private_key=secret if is_key else "",
                password="" if is_key else secret.rstrip("\r\n"),
                drop_folder=partner.outbound_folder,
                pickup_folder=partner.inbound_folder,
            )
        )
    named = NAMED.fullmatch(secret.strip())
    header, value = named.groups() if named else ("Authorization", secret.strip())
    try:
        api = Api(partner.base_url, header, value)
    except ValueError:
        raise Misconfigured("the address does not begin with https", code="https:address") from None
    return HttpsClearinghouse(api)


def _partner_folder(folder: str) -> str:
    """Return where a folder of a partner is, links followed, that lies where only partners' folders do.

    Raises:
        Misconfigured: it leads elsewhere, to where files of ours or of the system would be read, removed or written.
    """
    root = _partners_root()
    try:
        path = (root / folder).resolve()
        ours = [Path(settings.PARTNER_SECRETS).resolve(), outbox().resolve()]
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that is none
        raise Misconfigured("a folder that cannot be found", code="folder:missing") from None
    is_ours = any(path.is_relative_to(one) or one.is_relative_to(path) for one in ours)
    if path == root or not path.is_relative_to(root) or is_ours:
        raise Misconfigured("a folder that is not among those for partners", code="folder:outside")
    return str(path)


def _partners_root() -> Path:
    return Path(settings.PARTNER_FOLDERS).resolve()


def _partner_secret(name: str) -> str:
    try:
        return (Path(settings.PARTNER_SECRETS) / Path(name).name).read_text() if name else ""
    except (OSError, ValueError):
        raise Misconfigured("the secret file of the partner cannot be read", code="partner:secret") from None


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


def _kept(what: str, kind: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return this thread's client, made anew only when the settings name another; it keeps its connection open.

    Raises:
        Misconfigured: no client can be made of these settings.
    """
    made_of, client = _clients.__dict__.get(what, (None, None))
    if made_of != (kind, options):
        try:
            client = kind(**options)
        except ValueError:  # a sender that is no address, a URL that is none
            raise Misconfigured("no client can be made of the settings", code=f"{what}:settings") from None
        _clients.__dict__[what] = ((kind, options), client)
    return client


def _sms(name: str) -> tuple[Callable[..., SmsTransport], dict[str, Any]]:
    """Return how the transport of this name is made."""
    if name == "twilio":
        return TwilioSms, {
            "account_sid": settings.TWILIO_ACCOUNT_SID,
            "auth_token": settings.TWILIO_AUTH_TOKEN,
            "sender": settings.TWILIO_FROM,
            "callback_url": _status_callback(),
            "base_url": settings.TWILIO_BASE_URL,
        }
    if name == "sandbox":
        return SandboxSms, {"folder": outbox()}
    raise ImproperlyConfigured("CARERELAY_SMS is one of twilio, sandbox.")


def _status_callback() -> str:
    """Return where Twilio reports; nothing where it could not reach us. A double on this machine can."""
    base = urlsplit(settings.PUBLIC_BASE_URL)
    is_public = base.scheme == "https" and base.hostname not in LOCAL
    return f"{settings.PUBLIC_BASE_URL}/webhooks/twilio/status" if is_public or settings.TWILIO_BASE_URL else ""


def _email(name: str) -> tuple[Callable[..., EmailTransport], dict[str, Any]]:
    if name == "sendgrid":
        return SendGridEmail, {
            "api_key": settings.SENDGRID_API_KEY,
            "sender": settings.SENDGRID_FROM,
            "base_url": settings.SENDGRID_BASE_URL,
            "activity_feed": settings.SENDGRID_ACTIVITY_FEED,
        }
    if name == "smtp":
        return _smtp, {
            "host": settings.SMTP_HOST,
            "port": settings.SMTP_PORT,
            "security": settings.SMTP_SECURITY,
            "user": settings.SMTP_USER,
            "password": settings.SMTP_PASSWORD,
            "sender": settings.SMTP_FROM,
        }
    if name == "sandbox":
        return SandboxEmail, {"folder": outbox()}
    raise ImproperlyConfigured("CARERELAY_EMAIL is one of sendgrid, smtp, sandbox.")


def _smtp(*, sender: str, **how: Any) -> SmtpEmail:
    return SmtpEmail(connect=connector(**how), sender=sender)
