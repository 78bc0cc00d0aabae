"""Cuts a console list into pages by key, so that the last page costs what the first does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import models
from django.db.models import Q, QuerySet
from django.http import Http404, QueryDict

PAGE = 50  # a page's rows are cut by `moment >= at` first, which an index serves, and among equals by id
LONGEST_QUERY = 1000
LONGEST_PART = 4  # digits: nobody works down a list further than that
Row = TypeVar("Row", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, newest first. `older` and `newer` are the queries of the pages beside it, empty where there is none."""

    rows: list[Row]
    older: str = ""
    newer: str = ""


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    """Rows of a list that a person works down. first: the place of the first one; before, after: queries beside it."""

    rows: list[Row]
    first: int = 1
    before: str = ""
    after: str = ""

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


def in_order(rows: QuerySet[Row], asked: QueryDict, *, size: int, name: str = "part") -> Part[Row]:
    """Return the part that `?<name>=2` asks for, in the order the rows have, where that is no moment to cut by."""
    text = asked.get(name, "")
    number = max(int(text), 1) if text.isascii() and text.isdigit() and len(text) <= LONGEST_PART else 1
    start = (number - 1) * size
    found = list(rows[start : start + size + 1])
    before = _with(asked, name, number - 1) if start else ""
    return Part(found[:size], start + 1, before, _with(asked, name, number + 1) if len(found) > size else "")


def newest_first(rows: QuerySet[Row], asked: QueryDict, moment: str, *, size: int = PAGE) -> Page[Row]:
    """Return the page that `?older=<id>` or `?newer=<id>` names: the rows before or after that row, by `moment`, id."""
    older, newer = _row(rows, asked.get("older", "")), _row(rows, asked.get("newer", ""))
    if newer is not None:
        at = getattr(newer, moment)
        after = Q(**{f"{moment}__gte": at}) & (Q(**{f"{moment}__gt": at}) | Q(id__lt=newer.pk))
        found = list(rows.filter(after).order_by(moment, "-id")[: size + 1])
        page, more = found[:size][::-1], len(found) > size
        return Page(page, _query(asked, "older", page), _query(asked, "newer", page[:1] if more else []))
    if older is not None:
        at = getattr(older, moment)
        rows = rows.filter(Q(**{f"{moment}__lte": at}) & (Q(**{f"{moment}__lt": at}) | Q(id__gt=older.pk)))
    found = list(rows.order_by(f"-{moment}", "id")[: size + 1])
    page, more = found[:size], len(found) > size
    return Page(page, _query(asked, "older", page if more else []), _query(asked, "newer", page[:1] if older else []))


def earliest_first(rows: QuerySet[Row], asked: QueryDict, moment: str, *, size: int = PAGE) -> Page[Row]:
    """Return the same pages the other way round: earliest first, so that `older` leads back and `newer` leads on."""
    older, newer = _row(rows, asked.get("older", "")), _row(rows, asked.get("newer", ""))
    if older is not None:
        at = getattr(older, moment)
        ahead = Q(**{f"{moment}__lte": at}) & (Q(**{f"{moment}__lt": at}) | Q(id__lt=older.pk))
        found = list(rows.filter(ahead).order_by(f"-{moment}", "-id")[: size + 1])
        page, more = found[:size][::-1], len(found) > size
        return Page(page, _query(asked, "older", page[:1] if more else []), _query(asked, "newer", page))
    if newer is not None:
        at = getattr(newer, moment)
        rows = rows.filter(Q(**{f"{moment}__gte": at}) & (Q(**{f"{moment}__gt": at}) | Q(id__gt=newer.pk)))
    found = list(rows.order_by(moment, "id")[: size + 1])
    page, more = found[:size], len(found) > size
    return Page(page, _query(asked, "older", page[:1] if newer else []), _query(asked, "newer", page if more else []))


def handed_on(given: QueryDict) -> str:
    """Return the query of the list that somebody came from, as `?back=` or a form hands it on, for the way back."""
    return QueryDict(given.get("back", "")[:LONGEST_QUERY]).urlencode()


def _row(rows: QuerySet[Row], pk: str) -> Row | None:
    """Return the row a page begins or ends at, whatever the filters are by now."""
    if not pk:
        return None
    try:
        found: Any = rows.model._base_manager.filter(pk=UUID(pk)).first()
    except ValueError:
        found = None
    if found is None:
        raise Http404
    return found  # type: ignore[no-any-return]  # a row of this very model


def _query(asked: QueryDict, name: str, rows: list[Any]) -> str:
    """Return the query of the page on the other side of the last of `rows`."""
    query = asked.copy()
    for other in ("older", "newer"):
        query.pop(other, None)
    if rows:
        query[name] = str(rows[-1].pk)
    return query.urlencode() if rows else ""


def _with(asked: QueryDict, name: str, number: int) -> str:
    query = asked.copy()
    query[name] = str(number)
    return query.urlencode()
