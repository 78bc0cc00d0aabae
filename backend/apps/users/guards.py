"""Counts guesses and locks what is guessed too often; without it a weak password falls in an afternoon.

The same statements run for a login that is known, unknown or locked, so that neither words nor time tell them apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from backend.apps.core import audit, statements
from backend.apps.core.bases import uuid7
from backend.apps.core.models import AuditLog
from backend.apps.users.models import LoginGuard, LoginNotice, Notice, User

MOST = 10  # failures within WINDOW lock it; the next try finds it so
WINDOW = LOCKED_FOR = timedelta(minutes=15)
PASSWORD, CODE, PATIENT = "password", "code", "patient"  # what is guessed

# One row for each; a lock lasts its time whatever is tried meanwhile, and the count begins anew after it.
COUNT = """
    INSERT INTO users_loginguard AS g (id, digest, failures, began_at, locked_until)
    VALUES (%s, %s, %s, statement_timestamp(), NULL)
    ON CONFLICT (digest) DO UPDATE SET
        failures = CASE WHEN g.locked_until > statement_timestamp() THEN g.failures + EXCLUDED.failures
                        WHEN g.locked_until IS NOT NULL OR g.began_at < statement_timestamp() - %s
                        THEN EXCLUDED.failures
                        ELSE g.failures + EXCLUDED.failures END,
        began_at = CASE WHEN g.locked_until > statement_timestamp() THEN g.began_at
                        WHEN g.locked_until IS NOT NULL OR g.began_at < statement_timestamp() - %s
                        THEN statement_timestamp() ELSE g.began_at END,
        locked_until = CASE WHEN g.locked_until > statement_timestamp() THEN g.locked_until
                            WHEN g.locked_until IS NULL AND g.began_at >= statement_timestamp() - %s
                                 AND EXCLUDED.failures > 0 AND g.failures + EXCLUDED.failures >= %s
                            THEN statement_timestamp() + %s END
    RETURNING locked_until, locked_until IS NOT DISTINCT FROM statement_timestamp() + %s,
              CEIL(EXTRACT(EPOCH FROM locked_until - statement_timestamp()))::int"""


@transaction.atomic(savepoint=False)
def count(who: str, what: str, user: User | None, *, is_wrong: bool) -> bool:
    """Count a guess that was judged; return whether it came while it was locked, and is refused though it be right.

    A right one adds nothing, so that many at the same moment lock nothing; of many guesses one gets in that is right
    only while fewer than MOST were wrong. A lock and what tells of it, to nobody where nobody has the login, are one.
    who: a login as it was typed, or the id of a user.
    """
    locked_until, begins, _ = _counted(_digest(who, what), int(is_wrong), MOST, WINDOW, LOCKED_FOR)
    if locked_until is not None and begins:
        _tell(who, what, user, locked_until)
    return locked_until is not None and not begins


def attempt(who: str, what: str, *, most: int, within: timedelta) -> int | None:
    """Count one try; return how many seconds to wait when there were more than `most`, else None."""
    _, _, wait_s = _counted(_digest(who, what), 1, most + 1, within, within)
    return wait_s


def forgive(who: str, what: str) -> None:
    """Forget the failures, for a guess was right; a lock that others' guesses began meanwhile stays."""
    LoginGuard.objects.filter(digest=_digest(who, what)).exclude(locked_until__gt=Now()).delete()


def clear(who: str, what: str) -> None:
    """Forget the failures and open the lock, for a person decided so."""
    LoginGuard.objects.filter(digest=_digest(who, what)).delete()


def _counted(
    digest: str, failures: int, most: int, within: timedelta, lasts: timedelta
) -> tuple[datetime | None, bool, int | None]:
    """Return until when it is locked, whether that begins now, and the seconds until then."""
    values: list[Any] = [uuid7(), digest, failures, within, within, within, most, lasts, lasts]
    with statements.cursor() as cursor:
        cursor.execute(COUNT, values)
        found: tuple[datetime | None, bool, int | None] = cursor.fetchone()
    return found


def _tell(who: str, what: str, user: User | None, locked_until: datetime) -> None:
    """Write down a lock that has just begun and let its owner know by mail; the same work where there is none."""
    kind = Notice.LOCKED if what == PASSWORD else Notice.CODES_LOCKED
    outcome = AuditLog.Outcome.REFUSED
    audit.record(None, f"sign_in.{kind}", "user", str(user.pk) if user else "", outcome=outcome, user=user)
    key = f"{kind}:{_digest(who, what)}:{locked_until:%Y%m%dT%H%M%S%f}"
    LoginNotice.work.enqueue(dedupe_key=key, kind=kind, user=user)


def _digest(who: str, what: str) -> str:
    return salted_hmac("users.guards", f"{what}:{who.strip().lower()}", algorithm="sha256").hexdigest()
