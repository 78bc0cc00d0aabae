"""Counts guesses and locks what is guessed too often; without it a weak password falls in an afternoon.

The same statements run for a login that is known, unknown or locked, so that neither words nor time tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from backend.apps.core import audit, statements
from backend.apps.core.bases import uuid7
from backend.apps.core.models import AuditLog
from backend.apps.users.models import LoginGuard, LoginNotice, Notice, User

MOST = 10  # failures within WINDOW; the next try finds it locked
WINDOW = LOCKED_FOR = timedelta(minutes=15)
PASSWORD, CODE = "password", "code"  # what is guessed

# One row for each; a lock lasts its time whatever is tried meanwhile, and the count begins anew after it.
COUNT = """
    INSERT INTO users_loginguard AS g (id, digest, failures, began_at, locked_until)
    VALUES (%s, %s, 1, statement_timestamp(), NULL)
    ON CONFLICT (digest) DO UPDATE SET
        failures = CASE WHEN g.locked_until > statement_timestamp() THEN g.failures + 1
                        WHEN g.locked_until IS NOT NULL OR g.began_at < statement_timestamp() - %s THEN 1
                        ELSE g.failures + 1 END,
        began_at = CASE WHEN g.locked_until > statement_timestamp() THEN g.began_at
                        WHEN g.locked_until IS NOT NULL OR g.began_at < statement_timestamp() - %s
                        THEN statement_timestamp() ELSE g.began_at END,
        locked_until = CASE WHEN g.locked_until > statement_timestamp() THEN g.locked_until
                            WHEN g.locked_until IS NULL AND g.began_at >= statement_timestamp() - %s
                                 AND g.failures >= %s THEN statement_timestamp() + %s END
    RETURNING failures, locked_until"""


@dataclass(frozen=True, slots=True)
class Count:
    """How a guess was counted. locked_until: None while it is not locked. is_first: whether this guess locked it."""

    locked_until: datetime | None
    is_first: bool

    @property
    def is_locked(self) -> bool:
        return self.locked_until is not None


def count(who: str, what: str) -> Count:
    """Count one guess before it is judged, so that many at the same moment are no way around.

    who: a login as it was typed, or the id of a user. Call `clear` when the guess was right.
    """
    values: list[Any] = [uuid7(), _digest(who, what), WINDOW, WINDOW, WINDOW, MOST, LOCKED_FOR]
    with statements.cursor() as cursor:
        cursor.execute(COUNT, values)
        failures, locked_until = cursor.fetchone()
    return Count(locked_until, is_first=locked_until is not None and failures == MOST + 1)


def clear(who: str, what: str) -> bool:
    """Forget the failures, for a guess was right or a person decided so; return whether it was locked."""
    rows = LoginGuard.objects.filter(digest=_digest(who, what))
    locked = rows.filter(locked_until__gt=Now()).exists()
    rows.delete()
    return locked


def is_locked(who: str, what: str) -> bool:
    return LoginGuard.objects.filter(digest=_digest(who, what), locked_until__gt=Now()).exists()


def tell(counted: Count, kind: Notice, user: User | None, *, who: str) -> None:
    """Write down a lock that has just begun and let its owner know by mail, once; the same work where there is none."""
    if not counted.is_first or counted.locked_until is None:
        return
    outcome = AuditLog.Outcome.REFUSED
    audit.record(None, f"sign_in.{kind}", "user", str(user.pk) if user else "", outcome=outcome, user=user)
    what = PASSWORD if kind == Notice.LOCKED else CODE
    key = f"{kind}:{_digest(who, what)}:{counted.locked_until:%Y%m%dT%H%M%S%f}"
    LoginNotice.work.enqueue(dedupe_key=key, kind=kind, user=user)


def _digest(who: str, what: str) -> str:
    return salted_hmac("users.guards", f"{what}:{who.strip().lower()}", algorithm="sha256").hexdigest()
