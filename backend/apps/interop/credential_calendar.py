"""Finds whose credentials end when, doctors' and employees' in one line; else two lists had to be read side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from heapq import merge
from itertools import groupby, islice
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict

from backend.apps.credentials.models import CredentialAlert
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees.models import CredentialType, EmployeeCredential

PAGE = 50
OVERDUE_FIRST = 10  # on the first page, the latest; all of them are a list of their own
MONTHS = 13  # with this one
COUNTED = 5000  # credentials that the months are counted from
HOLDERS: dict[str, type[Any]] = {"doctor": DoctorCredential, "employee": EmployeeCredential}
Place = tuple[date, UUID]
ENDLESS = Q(expiry_date__isnull=True)  # they come last, as if they ended on the last day there is


@dataclass(frozen=True, slots=True)
class Asked:
    """What the calendar is cut to. start: the first day shown; after: the row that the page begins behind."""

    today: date
    start: date
    kind: str = ""
    holder: str = ""
    unreviewed: bool = False
    overdue: bool = False
    endless: bool = False
    after: Place | None = None

    @classmethod
    def of(cls, given: QueryDict, today: date) -> Asked:
        kind, holder = given.get("type", ""), given.get("holder", "")
        return cls(
            today,
            max(_month(given.get("from", "")) or today, today),
            kind=kind if kind in CredentialType.values else "",
            holder=holder if holder in HOLDERS else "",
            unreviewed=bool(given.get("unreviewed")),
            overdue=bool(given.get("overdue")),
            endless=bool(given.get("endless")),
            after=_place(given.get("after", "")),
        )

    @property
    def is_first(self) -> bool:
        """Whether it is the page that begins today."""
        return self.after is None and self.start == self.today and not self.overdue and not self.endless


@dataclass(frozen=True, slots=True)
class Found:
    """Rows in their order. after: the place the next page begins behind, as its address has it; empty at the end."""

    rows: list[Any]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Month:
    """A month ahead. count: how many end in it; None where there are too many to count."""

    first: date
    count: int | None


def find(request: HttpRequest, kinds: Sequence[type[Any]], asked: Asked) -> Found:
    """Return a page of what ends from the first day asked for on, or of what is over, the latest first."""
    if asked.overdue:
        return over(request, kinds, asked, size=PAGE)
    return _page(
        [
            ahead(rows, asked).filter(_behind(asked.after)).order_by("expiry_date", "id")
            for rows in cut(request, kinds, asked)
        ],
        PAGE,
        reverse=False,
    )


def over(request: HttpRequest, kinds: Sequence[type[Any]], asked: Asked, *, size: int) -> Found:
    past = [rows.filter(expiry_date__lt=asked.today) for rows in cut(request, kinds, asked)]
    if asked.after is not None:
        past = [rows.filter(_before(asked.after)) for rows in past]
    return _page([rows.order_by("-expiry_date", "-id") for rows in past], size, reverse=True)


def cut(request: HttpRequest, kinds: Sequence[type[Any]], asked: Asked) -> list[QuerySet[Any]]:
    """Return the rows of each kind that count: seen by this person, not renewed, of the type and state asked for.

    Of what nobody has reviewed, those too that were renewed: services of their days are billed by them.
    """
    wanted = Q(credential_type=asked.kind) if asked.kind else Q()
    chosen = [model for model in kinds if asked.holder in ("", model.HOLDER)]
    seen = [model.objects.visible_to(request.user).filter(wanted) for model in chosen]
    counted = [rows.unreviewed() if asked.unreviewed else rows.filter(replaced_by__isnull=True) for rows in seen]
    return [rows.select_related(f"{rows.model.HOLDER}__user") for rows in counted]


def ahead(rows: QuerySet[Any], asked: Asked) -> QuerySet[Any]:
    """Return what ends from the first day asked for on, and behind it what never ends: no tier would tell of that."""
    return rows.filter(ENDLESS if asked.endless else ENDLESS | Q(expiry_date__gte=asked.start))


def months(request: HttpRequest, kinds: Sequence[type[Any]], asked: Asked) -> list[Month]:
    """Return the months ahead with how many end in each, counted from the first ones only; one query."""
    first = asked.today.replace(day=1)
    until = _plus(first, MONTHS)
    span = {"expiry_date__gte": asked.today, "expiry_date__lt": until}
    days = [
        rows.select_related(None).filter(**span).order_by("expiry_date").values_list("expiry_date", flat=True)[:COUNTED]
        for rows in cut(request, kinds, asked)
    ]
    found = sorted(days[0].union(*days[1:], all=True)) if days else []
    counted = Counter(day.replace(day=1) for day in found[:COUNTED])
    end = found[COUNTED - 1].replace(day=1) if len(found) >= COUNTED else until
    starts = [_plus(first, number) for number in range(MONTHS)]
    return [Month(month, counted[month] if month < end else None) for month in starts]


def by_month(rows: Sequence[Any]) -> list[tuple[date | None, list[Any]]]:
    """Return rows by the month they end in; None: they have no end."""
    return [(month, list(ones)) for month, ones in groupby(rows, key=_month_of)]


def _month_of(row: Any) -> date | None:
    return row.expiry_date.replace(day=1) if row.expiry_date else None


def tiers_of(rows: Sequence[Any]) -> dict[Any, int]:
    """Return by credential the tier it was last told of, where that alert is open; one query."""
    keys = [row.pk for row in rows]
    of_one = Q(doctor_credential__in=keys) | Q(employee_credential__in=keys)
    found = CredentialAlert.objects.filter(of_one, closed_at__isnull=True).order_by("-tier")
    told = found.values_list("doctor_credential", "employee_credential", "tier")
    return {doctor or employee: tier for doctor, employee, tier in told}


def _page(lines: Sequence[QuerySet[Any]], size: int, *, reverse: bool) -> Found:
    merged = merge(*(rows[: size + 1] for rows in lines), key=_place_of, reverse=reverse)
    found = list(islice(merged, size + 1))
    rows = found[:size]
    return Found(rows, "{}~{}".format(*_place_of(rows[-1])) if len(found) > size else "")


def _place_of(row: Any) -> Place:
    return row.expiry_date or date.max, row.pk


def _behind(place: Place | None) -> Q:
    if place is None:
        return Q()
    if place[0] == date.max:
        return ENDLESS & Q(id__gt=place[1])
    return ENDLESS | Q(expiry_date__gte=place[0]) & (Q(expiry_date__gt=place[0]) | Q(id__gt=place[1]))


def _before(place: Place) -> Q:
    return Q(expiry_date__lte=place[0]) & (Q(expiry_date__lt=place[0]) | Q(id__lt=place[1]))


def _place(text: str) -> Place | None:
    day, _, key = text.partition("~")
    try:
        return date.fromisoformat(day), UUID(key)
    except ValueError:
        return None


def _month(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text}-01") if len(text) == len("2026-01") else None
    except ValueError:
        return None


def _plus(month: date, number: int) -> date:
    years, place = divmod(month.month - 1 + number, 12)
    return date(month.year + years, place + 1, 1)
