"""Where the rows of a resource come from; without it every reader would join the tables in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import Model, Q, QuerySet

from backend.apps.core import scope, statements
from backend.apps.core.permissions import Table, may
from backend.apps.core.sealed import CannotOpen, column
from integrations.fhir.resource import Resource

Row = tuple[str | None, ...]

# Of whom nothing is told any more. Who was merged into another record is not one of them: all went with them.
REMOVED = "removed.is_deleted AND removed.merged_into_id IS NULL"


def text(expression: str) -> str:
    """Return SQL for free text: NULL instead of nothing or blanks."""
    return f"NULLIF(btrim({expression}), '')"


def instant(expression: str) -> str:
    """Return SQL for a moment as a FHIR instant in UTC, to the millisecond."""
    return f"""to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def version_of(expression: str) -> str:
    """Return SQL for a version id made of the moment a row last changed, to the microsecond."""
    return f"to_char({expression} AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"


def by_uuid(fhir_id: str) -> Q | None:
    """Return the filter for a resource whose id is its row's key; None when this cannot be one."""
    try:
        key = UUID(fhir_id)
    except ValueError:
        return None
    return Q(pk=key) if str(key) == fhir_id else None


@dataclass(frozen=True, eq=False)
class Source:
    """One table (joined with others) each of whose rows is a resource, or several.

    name: unique; as "observation-lab". model: whose object rules (`core.scope`) decide who sees a row.
    permissions: the role table of its resource in /api/v1; FHIR search is its "list", read its "retrieve".
    tables: SQL after FROM; the model's own table has the alias t. live: SQL condition for rows that are resources now.
    columns: SQL that gives text, for each of the resource's columns.
    patient: SQL for the patient's UUID, "" for what is about no patient. changed: SQL for when it last changed.
    named: SQL for the patient whom a row names that is about no patient, by whom exports of patients are limited.
    listed: SQL condition for what a search finds that names neither an id nor whether it is active ("" for all).
    part: SQL that tells the resources of one row apart and orders them ("" where there is one).
    deleted: SQL that gives (FHIR id, when) of what no longer is a resource, "" where nothing goes; one %s: since when.
    traces: SQL after FROM where id and patient of what was deleted are found, if they are not in `tables`.
    by_id: from a FHIR id to a filter of the model, None when it cannot be one; by_part: the part that an id names.
    past: from (id, version id) to a filter of the row that was this version, where rows of earlier versions are kept.
    seen_by: for roles that see less, the columns they see; the others are NULL for them.
    seen_as: for roles that see fewer of the rows behind a resource, what its columns hold for them; and
    visible_to: what must hold of a row beside the object rules before they see its resource.
    changed_as: SQL for when a resource last changed as those roles see it, where `seen_as` makes that another moment.
    wide: SQL for the length in bytes of what may be large in a row ("" where nothing is).
    sealed: columns of which SQL knows the sealed value alone -> fields of the model; see `opened`.
    system_only: not part of exports of patients or groups unless it is asked for by `_type`.
    """

    name: str
    resource: Resource
    model: type[Model]
    permissions: Table
    tables: str
    columns: Mapping[str, str]
    live: str = "NOT t.is_deleted"
    key: str = "t.id"
    patient: str = ""
    named: str = ""
    changed: str = "t.updated_at"
    listed: str = ""
    part: str = ""
    deleted: str = ""
    traces: str = ""
    by_id: Callable[[str], Q | None] = by_uuid
    by_part: Callable[[str], str] | None = None
    past: Callable[[str, str], Q | None] | None = None
    seen_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seen_as: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    visible_to: Mapping[str, Q] = field(default_factory=dict)
    changed_as: Mapping[str, str] = field(default_factory=dict)
    wide: str = ""
    sealed: Mapping[str, str] = field(default_factory=dict)
    system_only: bool = False

    def __post_init__(self) -> None:
        missing, unknown = (
            set(self.resource.columns) - set(self.columns),
            set(self.columns) - set(self.resource.columns),
        )
        if missing or unknown:
            raise ValueError(f"{self.name}: columns missing {sorted(missing)}, unknown {sorted(unknown)}")

    @property
    def type(self) -> str:
        return self.resource.type

    @cached_property
    def order(self) -> str:
        """SQL to order by: the key, then the part."""
        return f"{self.key}, {self.part}" if self.part else self.key

    @cached_property
    def kept(self) -> str:
        """SQL condition that the patient, where it is about one, was not removed."""
        if self.patient in {"", self.key}:
            return "TRUE"
        return f"{self.patient} <> ALL(ARRAY(SELECT removed.id FROM patients_patient AS removed WHERE {REMOVED}))"  # noqa: S608  # our own names only

    @cached_property
    def goings(self) -> tuple[str, ...]:
        """Queries like `deleted` that together tell all that went: by itself, and with a patient who was removed."""
        along = f"""SELECT {self.columns["id"]}, removed.deleted_at
            FROM {self.tables} JOIN patients_patient AS removed ON removed.id = {self.patient}
            WHERE {self.live} AND {REMOVED} AND removed.deleted_at > %s"""  # noqa: S608  # our own names only
        return tuple(filter(None, (self.deleted, "" if self.kept == "TRUE" else along)))

    def select(self, resource: Resource | None = None, role: str = "", beside: Sequence[str] = ()) -> str:
        """Return "SELECT columns FROM tables", without WHERE, for the resource (or a cut of it) as a role sees it.

        beside: SQL of our own names for what comes after the columns.
        """
        shape = resource or self.resource
        seen = self.seen_by.get(role)
        columns = {**self.columns, **self.seen_as.get(role, {})}
        told = (columns[name] if seen is None or name in seen else "NULL::text" for name in shape.columns)
        return f"SELECT {', '.join([*told, *beside])} FROM {self.tables}"  # noqa: S608  # our own names only

    def opened(
        self, rows: list[Row], resource: Resource | None = None, closed: dict[int, CannotOpen] | None = None
    ) -> list[Row]:
        """Return what `select` gave with sealed columns opened; what stands beside the columns stays.

        closed: where to note, by its place, which row has a value that does not open; it comes as NULL then.

        Raises:
            CannotOpen: a value does not open, and `closed` is None.
        """
        names = (resource or self.resource).columns
        places = [(names.index(name), column(self.model, of)) for name, of in self.sealed.items() if name in names]
        if not places:
            return rows
        key, found = names.index("id"), []
        for at, row in enumerate(rows):
            values = list(row)
            for place, sealed in places:
                try:
                    values[place] = (sealed.open(row[key], row[place]) or "").strip() or None
                except CannotOpen as error:
                    if closed is None:
                        raise
                    closed[at], values[place] = error, None
            found.append(tuple(values))
        return found

    def may(self, user: Any, action: str) -> bool:
        """Return whether the user's role may "list" or "retrieve" here."""
        return may(user, action, self.permissions)

    def visible(self, user: Any) -> QuerySet[Any]:
        """Return the rows of the model that the user may see, live or not."""
        rows = scope.visible(self.model._base_manager.all(), user)
        also = self.visible_to.get(getattr(user, "role", ""))
        return rows if also is None else rows.filter(also)


def rows_among(
    source: Source,
    found: QuerySet[Any],
    *,
    role: str = "",
    resource: Resource | None = None,
    also: str = "TRUE",
    values: Sequence[Any] = (),
    limit: int | None = None,
    beside: Sequence[str] = (),
    order: str = "",
    live: bool = True,
    keys_first: bool = False,
    closed: dict[int, CannotOpen] | None = None,
) -> list[Row]:
    """Return the rows for the resources among the model's rows `found`, by key and part.

    also: what else must hold, in SQL of our own names only, with `values` for its placeholders. beside: SQL for what
    comes after the columns. order: SQL to order by instead. live: False also takes rows that are no resources now.
    keys_first: where many more are found than `limit`, sort their keys alone, and work the columns out for the first.
    closed: see `Source.opened`.
    """
    among, among_values = _among(found)
    where = f"{source.live if live else 'TRUE'} AND {source.kept} AND {also} AND {among}"
    ordered = f"ORDER BY {order or source.order}" + (f" LIMIT {limit:d}" if limit is not None else "")
    told = [*values, *among_values]
    sql = f"{source.select(resource, role, beside)} WHERE {where} {ordered}"
    if keys_first:
        first = f"SELECT t.id FROM {source.tables} WHERE {where} {ordered}"  # noqa: S608  # our own names only
        where = f"t.id = ANY(ARRAY({first})) AND {source.live} AND {also}"  # `first` has none of who was removed
        sql = f"{source.select(resource, role, beside)} WHERE {where} {ordered}"
        told = [*told, *values]
    with statements.cursor() as cursor:
        cursor.execute(sql, told)
        return source.opened(cursor.fetchall(), resource, closed)


def count_among(
    source: Source, found: QuerySet[Any], *, also: str = "TRUE", values: Sequence[Any] = (), most: int | None = None
) -> int:
    """Return how many resources there are among the model's rows `found`; most: stop counting there."""
    among, among_values = _among(found)
    where = f"{source.live} AND {source.kept} AND {also} AND {among}"
    told = f"SELECT FROM {source.tables} WHERE {where}" + (f" LIMIT {most:d}" if most is not None else "")
    with statements.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({told}) AS told", [*values, *among_values])  # noqa: S608  # our own names
        return int(cursor.fetchone()[0])


def _among(found: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    """Return SQL that holds of the rows t that are among `found`, and its values.

    Conditions on the row's own columns are asked of t itself: a second look at the table would be planned each time.
    """
    query = found.query
    plain = not (query.combinator or query.group_by or query.distinct)
    if plain and not query.where:
        return "TRUE", ()
    query = found.order_by().values("pk").query
    try:
        if plain and list(query.alias_map) == [found.model._meta.db_table]:
            where = query.where.relabeled_clone({found.model._meta.db_table: "t"})
            sql, values = query.get_compiler(connection=connection).compile(where)
            return f"({sql})", tuple(values)
        sql, values = query.sql_with_params()
    except EmptyResultSet:  # Django sees that there can be none
        return "FALSE", ()
    except FullResultSet:  # or that it holds of all
        return "TRUE", ()
    return f"t.id IN ({sql})", tuple(values)
