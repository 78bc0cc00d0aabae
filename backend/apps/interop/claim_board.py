"""Asks how all claims stand, each number by one query; without it the biller's board would count by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import QueryDict

from backend.apps.core.permissions import Table, allow
from backend.apps.core.roles import Role
from backend.apps.insurance.models import InsuranceClaim, Submission, TradingPartner
from backend.apps.insurance.models.submissions import LIVE
from backend.apps.interop.claim_words import STATES

BILLING: Table = allow(("list", "retrieve"), Role.RECEPTIONIST)
WAITS = ("queued", "batched")
GONE = ("requeued", "withdrawn")  # submissions that say nothing of a claim any more
OPEN = ("submitted", "pending", "accepted", "rejected", "appealed")
SETTLED = ("paid", "denied")  # these grow with the years: they are counted only so far
COUNTED = 1000  # beyond that a count says "1000 or more"
MOST_PARTNERS = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What the board is asked for; partner and payer are ids."""

    state: str = ""
    partner: UUID | None = None
    payer: UUID | None = None

    @classmethod
    def of(cls, query: QueryDict) -> Asked:
        """Read the query; what is not understood is left out."""
        state = query.get("state", "")
        return cls(state if state in STATES else "", key_of(query.get("partner", "")), key_of(query.get("payer", "")))

    def query(self, **over: Any) -> str:
        """Return the query of this page with something else asked for."""
        asked = {"state": self.state, "partner": self.partner, "payer": self.payer} | over
        query = QueryDict(mutable=True)
        for name, value in asked.items():
            if value:
                query[name] = str(value)
        return query.urlencode()


@dataclass(frozen=True, slots=True)
class Number:
    """A number that leads to its rows."""

    label: str
    count: int | str
    query: str
    here: bool = False


def claims(user: Any, asked: Asked) -> QuerySet[InsuranceClaim]:
    """Return the claims as asked for."""
    rows = InsuranceClaim.objects.visible_to(user)
    if asked.state:
        rows = rows.filter(_in_state(asked.state))
    if asked.payer:
        rows = rows.filter(patient_insurance__insurance_plan__provider=asked.payer)
    if asked.partner:
        rows = rows.filter(Exists(_submissions().filter(partner=asked.partner)))
    return rows


def counts(user: Any, asked: Asked) -> list[Number]:
    """Return how many claims are in each state, each with the query that shows them; four queries."""
    rows = claims(user, Asked(partner=asked.partner, payer=asked.payer)).order_by()
    found = Counter(dict(rows.filter(status__in=("draft", *OPEN)).values_list("status").annotate(Count("pk"))))
    waiting = _live().filter(status__in=WAITS, claim__in=rows.values("pk"))
    for status, count in waiting.filter(claim__status="draft").values_list("status").annotate(Count("claim")):
        found[status] += count
        found["draft"] -= count
    told = found | {status: so_many(rows.filter(status=status)) for status in SETTLED}
    return [
        Number(word, told[state], asked.query(state=state), asked.state == state)
        for state, word in STATES.items()
        if told.get(state)
    ]


def so_many(rows: QuerySet[Any]) -> int | str:
    """Return how many rows there are, counting no further than COUNTED."""
    found = rows.order_by().values("pk")[:COUNTED].count()
    return f"{found} or more" if found == COUNTED else found


def by_partner(asked: Asked) -> list[dict[str, Any]]:
    """Return of each partner how many of its open claims are in each state, as numbers that lead to them."""
    found: dict[Any, Counter[str]] = {}
    rows = Submission.objects.exclude(status__in=GONE).order_by()
    away = rows.filter(claim__status__in=OPEN).values_list("partner", "claim__status")
    for partner, status, count in away.annotate(Count("claim", distinct=True)):
        found.setdefault(partner, Counter())[status] += count
    here = rows.filter(status__in=WAITS, claim__status="draft").values_list("partner", "status")
    for partner, status, count in here.annotate(Count("claim", distinct=True)):
        found.setdefault(partner, Counter())[status] += count
    partners = TradingPartner.objects.order_by("name")[:MOST_PARTNERS]
    return [{"row": row, "numbers": _numbers(row, found.get(row.pk, Counter()), asked)} for row in partners]


def live_of(rows: Iterable[InsuranceClaim]) -> dict[Any, Submission]:
    """Return by claim its submission that is on its way; one query."""
    found = _live().filter(claim__in=[row.pk for row in rows]).select_related("partner", "interchange")
    return {row.claim_id: row for row in found.defer("interchange__content")}


def key_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _numbers(partner: TradingPartner, counted: Counter[str], asked: Asked) -> list[Number]:
    return [
        Number(word, counted[state], asked.query(state=state, partner=partner.pk))
        for state, word in STATES.items()
        if counted[state]
    ]


def _live() -> QuerySet[Submission]:
    return Submission.objects.filter(status__in=LIVE)


def _submissions() -> QuerySet[Submission]:
    return Submission.objects.filter(claim=OuterRef("pk")).exclude(status__in=GONE)


def _in_state(state: str) -> Q:
    if state in WAITS:
        return Q(Exists(_submissions().filter(status=state)), status="draft")
    if state == "draft":
        return Q(~Exists(_submissions().filter(status__in=WAITS)), status="draft")
    return Q(status=state)
