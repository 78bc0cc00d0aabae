"""Raises one alert for the most urgent tier a credential has reached; without it a licence would lapse in silence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core import dispatch
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.credentials import digests, policies
from backend.apps.credentials.ladder_sql import APPLY, STEPS
from backend.apps.credentials.models import CredentialPolicy, CredentialRules
from backend.apps.users.models import User

NOTIFY = "credentials.notify"  # the task of `workers.credentials`
CHUNK = 1000  # credentials of one statement and transaction: none is locked for longer than that takes
# Row by row by their keys, whatever the statistics say: they are old while a sweep fills the tables. A commit waits for
# no disk: a chunk that a crash takes along is due again, and what is made of one commits after it in the same log.
BY_KEYS = "; ".join(
    f"SET LOCAL {name} = off"
    for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "synchronous_commit")
)
BEGINS_AT = time(6)  # on the clinic's clock: by then it is another day for the ladder


def day_of(now: datetime) -> date:
    """Return the day the ladder is looked at on: before six in the morning at the clinic it is still the day before."""
    return (now.astimezone(Clinic.current().zone) - timedelta(hours=BEGINS_AT.hour)).date()


def sweep(now: datetime) -> Counter[str]:
    """Raise what is due, plan the digest of the day from six on, and ring once if anybody is to be told of it.

    Where much is due it rings for a second worker, which shares the work.
    """
    day, counts = day_of(now), Counter[str]()
    apply_policies(day)
    for done in chunks(day):
        if not counts and done["looked at"] == CHUNK:
            dispatch.ring(policies.SWEEP)
        counts.update(done)
    if day == timezone.localdate(now, Clinic.current().zone):
        counts["digests"] += digests.plan(day, now=now)
    if counts["told"] or counts["digests"]:
        dispatch.ring(NOTIFY)
    return counts


def raise_due(today: date, *, chunk: int = CHUNK) -> Counter[str]:
    """Raise what is due by `today`; return how many were looked at, raised, followed, reopened, withdrawn and told.

    Safe to repeat and to run beside another one: each credential is looked at under its lock by one of them, and moved
    on to the day of its next tier in the same transaction. After days of downtime it tells the most urgent tier only.
    """
    apply_policies(today, chunk=chunk)
    counts: Counter[str] = Counter()
    for done in chunks(today, chunk=chunk):
        counts.update(done)
    return counts


def chunks(today: date, *, chunk: int = CHUNK) -> Iterator[dict[str, int]]:
    """Look at what is due, chunk by chunk, each in a transaction of its own; yield what each has done."""
    given = {"today": today, "chunk": chunk, "rules": _rules(), "compliance": _compliance()}
    for statement in STEPS:
        looked_at = chunk
        while looked_at == chunk:
            done = _run(statement, given)
            looked_at = done["looked at"]
            yield done


def apply_policies(today: date, *, chunk: int = CHUNK) -> int:
    """Work out anew when the credentials of each type whose rules changed are looked at; return how many moved.

    Those of which a tier is reached are looked at at once; what was told of them already is not told again.
    """
    moved = 0
    for row in CredentialPolicy.all_objects.order_by("updated_at"):
        if row.applied_to == row.updated_at:
            continue
        rules = policies.of_types()[row.credential_type]
        moved += sum(_apply(*statements, rules, today, chunk) for statements in APPLY)
        CredentialPolicy.all_objects.filter(pk=row.pk).update(applied_to=row.updated_at)
    return moved


def _apply(free: str, one: str, rules: CredentialPolicy, today: date, chunk: int) -> int:
    """Move those that nobody writes to chunk by chunk, and each of the others once it is free."""
    given = {"kind": rules.credential_type, "first": rules.tiers[0], "today": today}
    moved, after, taken = 0, UUID(int=0), list[UUID]()
    while after:
        done = _run(free, {**given, "chunk": chunk, "after": after})
        moved, after, taken = moved + done["moved"], done["last"], taken + done["taken"]
    return moved + sum(_run(one, {**given, "chunk": 1, "after": UUID(int=key.int - 1)})["moved"] for key in taken)


def _rules() -> str:
    names = ("credential_type", "tiers", "weekly_after", "manager_from", "compliance_from")
    return json.dumps([{name: getattr(row, name) for name in names} for row in policies.of_types().values()])


def _compliance() -> list[Any]:
    """Return the logins of the compliance officer or, where there is none, of all administrators."""
    officer = CredentialRules.current().compliance_officer
    if officer is not None and policies.sees_to_it(officer):
        return [officer.pk]
    return list(User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk").values_list("pk", flat=True))


def _run(statement: str, given: dict[str, Any]) -> dict[str, Any]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(BY_KEYS)
        cursor.execute(statement, given)
        names = [column.name for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone(), strict=True))
