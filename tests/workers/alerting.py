"""Opens alerts at a clock that a test sets, and reads the mails that tell of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from backend.apps.core import alerts
from backend.apps.core.models import Alert, AlertNotice
from integrations.doubles.sendgrid import SendGridDouble

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # long past by the database's clock, so every notice is due
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FIRST, SECOND = "first@oncall.example.org", "second@oncall.example.org"
INFO, WARNING, CRITICAL = Alert.Severity.INFO, Alert.Severity.WARNING, Alert.Severity.CRITICAL


def tell(cause: str = "one", **over: Any) -> Alert:
    return alerts.open_once(cause, **{"kind": "test_trouble", "sentence": f"Trouble {cause}.", **over})


def due() -> None:
    AlertNotice.work.update(due_at=NOON)  # `now()` of the database is when the test began


def texts(mails: SendGridDouble) -> list[str]:
    return [mail.text for mail in mails.sent]
