"""What is asked of a stack before the demo plays on it; without it a scene would write to people of a real clinic."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from workers.cli.desk import Desk
from workers.cli.errors import Refused
from workers.cli.state import Running

SENDING = frozenset({"credentials", "labs", "reminders"})  # scenes in which patients or staff are written to
ADDRESSES = {"twilio": "TWILIO_BASE_URL", "sendgrid": "SENDGRID_BASE_URL"}  # a mail server passes on what it is given


def require_demo_clinic(stack: Running) -> None:
    """Refuse a stack in production, and one whose administrator is not that of the demo clinic."""
    if stack.env.get("CARERELAY_ENV") == "production":
        raise Refused("The stack that runs here is in production; the demo plays only with a demo clinic.")
    Desk.of(stack, "admin")


def require_nobody_written_to(stack: Running, names: Collection[str]) -> None:
    """Refuse scenes that send where a provider would carry it off this machine."""
    sending = sorted(SENDING & set(names))
    for transport in (texts_by(stack.env), mails_by(stack.env)):
        address = stack.env.get(ADDRESSES.get(transport, ""), "")
        if sending and transport != "sandbox" and not is_here(address):
            raise Refused(
                f"The stack that runs here sends by {transport}, so {', '.join(sending)} would write to real people. "
                "Stop it, and the demo starts one of its own."
            )


def texts_by(env: Mapping[str, str]) -> str:
    """Return by which transport a stack with these settings sends texts."""
    return env.get("CARERELAY_SMS") or ("twilio" if env.get("TWILIO_ACCOUNT_SID") else "sandbox")


def mails_by(env: Mapping[str, str]) -> str:
    """Return by which transport a stack with these settings sends e-mails."""
    has_key = env.get("SENDGRID_API_KEY") or env.get("SENDGRID_API_KEY_FILE")
    return env.get("CARERELAY_EMAIL") or ("sendgrid" if has_key else "smtp" if env.get("SMTP_HOST") else "sandbox")


def is_here(url: str) -> bool:
    """Tell whether the address is one of this machine's own, which nothing leaves."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
