"""Takes one page of what a search names, by key: page 1,000 costs what page 1 costs, and no row comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import uuid4

from backend.apps.core import closed_values
from backend.apps.core.keyring import CannotOpen
from backend.apps.interop.fhir.door import given
from backend.apps.interop.fhir.outcomes import BadSearch
from backend.apps.interop.fhir.search.asked import Asked
from backend.apps.interop.fhir.search.kinds import Date, Id, Param, ToldDate
from backend.apps.interop.fhir.search.query import Found, Params, as_seen, find, of_type, parameters
from backend.apps.interop.fhir.search.references import Pointer
from backend.apps.interop.fhir.search.tokens import Coded
from backend.apps.interop.fhir.search.values import plain, span, split
from backend.apps.interop.fhir.source import Row, Source, count_among, rows_among
from integrations.fhir.bundles import Entry
from integrations.fhir.outcomes import issue, outcome
from integrations.fhir.resource import Resource
from integrations.fhir.values import fragment

DIGITS, SORTED = "YYYYMMDDHH24MISSUS", "%Y%m%d%H%M%S%f"  # the same to PostgreSQL and to Python
FEW = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location", "Group", "Medication"})
OWN_CHANGE = "t.updated_at"
BY_CHANGE = frozenset({"Patient", "Appointment"})  # whose own change an index orders by
ONE_CARE = frozenset({
    "Patient", "Coverage", "Appointment", "Encounter", "ServiceRequest", "Specimen", "Observation", "Claim",
    "MedicationRequest", "DocumentReference", "Composition",
})  # fmt: skip
COUNTED = 10_000  # counting more would cost more than the page; `_total=accurate` asks for it


class Place(NamedTuple):
    """Where a resource stands in the order of a search."""

    value: str  # what is sorted by, "" where nothing is
    source: int
    key: str
    part: str


@dataclass(frozen=True, slots=True)
class Hit:
    source: Source
    row: Row  # the columns, then the patient it is about or None, value, key and part
    place: Place
    shape: Resource
    closed: CannotOpen | None = None  # a value of it does not open and is left out

    @property
    def id(self) -> str:
        return str(self.row[self.shape.columns.index("id")])

    @property
    def patient(self) -> str | None:
        return self.row[-4]

    def entry(self, texts: Mapping[str, str], mode: str = "match") -> Entry:
        """Return it as a Bundle holds it; texts: what every line needs (`door.given`)."""
        line = self.shape.line(texts)(self.row[:-4])
        return Entry(f"{texts['base']}/{self.source.type}/{self.id}", line, mode)


def entries(hits: Iterable[Hit], mode: str = "match") -> list[Entry]:
    """Return resources as a Bundle holds them."""
    texts = given()
    return [hit.entry(texts, mode) for hit in hits]


def left_out(hits: Iterable[Hit]) -> list[Entry]:
    """Return the entry that names the resources of which a value does not open; none where all do."""
    issues = []
    for hit in hits:
        if hit.closed is not None:
            closed_values.tell(hit.closed)
            name = f"{hit.source.type}/{hit.id}"
            issues.append(issue("incomplete", f"{name}: {closed_values.refusal(hit.closed)}", severity="warning"))
    return [Entry(f"urn:uuid:{uuid4()}", fragment(outcome(issues)), "outcome")] if issues else []


def page(
    asked: Asked,
    sources: Sequence[Source],
    user: Any,
    after: Place | None = None,
    *,
    until: str = "",
    params: Callable[[Source], Params | None] | None = None,
) -> tuple[list[Hit], bool]:
    """Return at most `asked.count` hits that come after a place, and whether there are more.

    until: sorted by what changed last, the last moment that counts ("" while it is still now): what changes between
    two pages would come twice. params: what is searched by in each source, where that differs; None leaves it out.
    """
    if asked.sort:
        _must_be_few(asked, sources, user)
    hits: list[Hit] = []
    for index, source in enumerate(sources):
        wanted = asked.params if params is None else params(source)
        open_from = after is None or index >= after.source or bool(asked.sort)
        is_open = open_from and (bool(asked.sort) or len(hits) <= asked.count)
        if wanted is not None and is_open:  # by one limit in each, which is part of the statement that is prepared
            hits += _take(asked, source, wanted, user, index=index, after=after, until=until, limit=asked.count + 1)
    if asked.sort:
        hits = _merged(hits, backwards=asked.sort.startswith("-"))
    return hits[: asked.count], len(hits) > asked.count


def count(asked: Asked, sources: Sequence[Source], user: Any) -> int | None:
    """Return how many resources are found; None where they are too many to count unasked."""
    most = None if asked.exact or asked.only_count else COUNTED + 1
    found = [(source, find(source, asked.params, user)) for source in sources]
    total = sum(
        count_among(source, one.rows, also=one.also, values=one.values, most=most) for source, one in found if one
    )
    return total if most is None or total < most else None


def some(source: Source, found: Found, user: Any, limit: int, elements: frozenset[str] = frozenset()) -> list[Hit]:
    """Return the first resources that were found, by key."""
    return _hits(source, found, user, limit, elements=elements)


def _take(
    asked: Asked,
    source: Source,
    params: Params,
    user: Any,
    *,
    index: int,
    after: Place | None,
    until: str,
    limit: int,
) -> list[Hit]:
    found = find(source, params, user)
    if found is None:
        return []
    value, by = _sorted_by(as_seen(source, user.role), asked.sort)
    if after is not None:
        found = _beyond(source, found, after, index, by, backwards=asked.sort.startswith("-"))
    if until and asked.sort.endswith("_lastUpdated"):
        found = Found(found.rows, f"({found.also}) AND {by} <= %s", (*found.values, _held(until, by)))
    order = _order(asked, source, by, narrow=_narrow(source.type, params))
    told: dict[str, Any] = {"index": index, "value": value, "order": order, "elements": asked.shown}
    return _hits(source, found, user, limit, keys_first=order != source.order, **told)


def _order(asked: Asked, source: Source, by: str, *, narrow: bool) -> str:
    """Return SQL to order by. Where few rows are left it names the key so that no index gives that order: PostgreSQL
    would walk the whole table by it until it had met the few.
    """
    if asked.sort:
        return f"{by} {'DESC' if asked.sort.startswith('-') else ''}, {source.order}"
    if not narrow:
        return source.order
    key = f'{source.key}::text COLLATE "C"'
    return f"{key}, {source.part}" if source.part else key


def _hits(
    source: Source,
    found: Found,
    user: Any,
    limit: int,
    *,
    index: int = 0,
    value: str = "''",
    order: str = "",
    elements: frozenset[str] = frozenset(),
    keys_first: bool = False,
) -> list[Hit]:
    shape = cut(source.resource, elements) if elements else source.resource
    closed = dict[int, CannotOpen]()
    beside = (f"({source.patient or 'NULL'})::text", value, f"({source.key})::text", source.part or "''")
    rows = rows_among(
        source,
        found.rows,
        role=user.role,
        resource=shape,
        also=found.also,
        values=found.values,
        limit=limit,
        beside=beside,
        order=order,
        keys_first=keys_first,
        closed=closed,
    )
    return [
        Hit(source, row, Place(str(row[-3]), index, str(row[-2]), str(row[-1])), shape, closed.get(at))
        for at, row in enumerate(rows)
    ]


def _beyond(source: Source, found: Found, after: Place, index: int, by: str, *, backwards: bool) -> Found:
    """Return what was found without all that stands up to the place."""
    sign, last = "<" if backwards else ">", _held(after.value, by)
    if index > after.source:
        sql, values = f"{by} {sign}= %s", [last]
    elif index < after.source:
        sql, values = f"{by} {sign} %s", [last]
    else:
        rest, values = (f"({source.key}, {source.part}) > (%s, %s)", [after.key, after.part])
        if not source.part:
            rest, values = f"{source.key} > %s", [after.key]
        sql, values = f"({by} {sign}= %s AND ({by} <> %s OR {rest}))", [last, last, *values]
        if by == "''":
            sql, values = rest, values[2:]
    return Found(found.rows, f"({found.also}) AND {sql}", (*found.values, *values))


def _held(value: str, by: str) -> str | datetime:
    """Return what is sorted by, from the text of it that a place holds."""
    return datetime.strptime(value, SORTED).replace(tzinfo=UTC) if by == OWN_CHANGE else value


def _sorted_by(source: Source, sort: str) -> tuple[str, str]:
    """Return SQL for the text of what is sorted by, and for what to order by: the same, unless an index orders it.

    The text is digits alone, so that its order is that of time in every collation.
    """
    name = sort.removeprefix("-")
    if name == "_lastUpdated" and source.changed == OWN_CHANGE:
        return f"to_char({OWN_CHANGE} AT TIME ZONE 'UTC', '{DIGITS}')", OWN_CHANGE
    param = parameters(source).get(name)
    column = "updated" if name == "_lastUpdated" else param.column if isinstance(param, Date | ToldDate) else ""
    if not column:
        return "''", "''"
    text = f"COALESCE(to_char(({source.columns[column]})::timestamptz AT TIME ZONE 'UTC', '{DIGITS}'), '')"
    return text, text


def _must_be_few(asked: Asked, sources: Sequence[Source], user: Any) -> None:
    """Refuse to sort what is not of one patient or otherwise few: it would sort the whole table for each page."""
    by_index = asked.type in BY_CHANGE and asked.sort.endswith("_lastUpdated")
    if asked.type not in FEW and not by_index and not _narrow(asked.type, asked.params):
        for source in sources:
            find(source, asked.params, user)  # what is wrong with the search itself is told first
        raise BadSearch(
            "The answer can be sorted only when it is searched by patient, by an id or by one day as well.",
            code="too-costly",
        )


def _narrow(resource_type: str, params: Params) -> bool:
    """Return whether this names a patient, what belongs to one, or a day: then few are left, and soon sorted."""
    table = of_type(resource_type)
    named = ((name.partition(":"), value) for name, value in params)
    return any(_leaves_few(table.get(plain), modifier, value) for (plain, _, modifier), value in named)


def _leaves_few(param: Param | None, modifier: str, value: str) -> bool:
    if isinstance(param, Pointer):
        return modifier != "missing" and set(param.targets) <= ONE_CARE
    if isinstance(param, Date | ToldDate):
        return not modifier and all(_one_day(one) for one in split(value))
    return not modifier and (isinstance(param, Id) or (isinstance(param, Coded) and param.private))


def _one_day(value: str) -> bool:
    wanted = span("date", plain(value))
    return wanted.prefix == "eq" and wanted.high - wanted.low <= timedelta(hours=25)


def _merged(hits: list[Hit], *, backwards: bool) -> list[Hit]:
    by_place = sorted(hits, key=lambda hit: hit.place[1:])
    return sorted(by_place, key=attrgetter("place.value"), reverse=backwards)  # stable, so ties stay by place


@lru_cache(maxsize=256)
def cut(resource: Resource, elements: frozenset[str]) -> Resource:
    return resource.only(elements)
