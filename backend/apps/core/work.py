"""The row that is its own queue entry: lease, fence, outcome. Without it work would live in a broker and get lost."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.apps import apps
from django.db import connections, models, router, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from backend.apps.core import dispatch, sealed
from backend.apps.core.bases import TimeStampedModel
from backend.apps.core.bulk import prepared, write_each

LEASE = timedelta(seconds=360)  # longer than CELERY_TASK_TIME_LIMIT, shorter than the broker's visibility timeout
BACKOFF_FIRST_S, BACKOFF_MOST_S = 30, 6 * 3600
TOUCHED = "updated_at = now()"
GIVEN_UP = "given up: "  # how `last_error` of a row begins that a person has ended

Item = TypeVar("Item", bound="WorkItem")
log = logging.getLogger(__name__)


class WorkState(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    HELD = "held", "held for a person"


AT_REST = (WorkState.FAILED, WorkState.HELD)  # until a person looks
NOT_BEGUN = Q(work_state=WorkState.WAITING) | Q(work_state=WorkState.RUNNING, begun_at__isnull=True)
WAITING_AND_DUE = Q(work_state=WorkState.WAITING, due_at__lte=Now())
LEASE_EXPIRED = Q(work_state=WorkState.RUNNING, leased_until__lt=Now())


class WorkQuerySet(models.QuerySet[Item]):
    def enqueue(self, *, dedupe_key: str, due_at: datetime | None = None, **fields: Any) -> Item:
        """Create the row once per `dedupe_key` and ring its worker after commit; same key twice: the same row."""
        defaults = fields if due_at is None else {"due_at": due_at, **fields}
        item, created = self.get_or_create(dedupe_key=dedupe_key, defaults=defaults)
        if created:
            about = {"work": self.model.__name__, "work_id": item.pk}
            context = copy_context()  # the line belongs to the request that queued the row
            transaction.on_commit(lambda: context.run(log.info, "queued", extra=about), robust=True)
        if created and (due_at is None or due_at <= timezone.now()):
            dispatch.ring(self.model.task_name)
        return item

    def overdue(self) -> Self:
        """Rows a worker should look at: waiting and due, or leased by a worker that died."""
        lanes = self.model.lanes
        due = WAITING_AND_DUE & Q(lane__in=lanes) if lanes else WAITING_AND_DUE
        return self.filter(due | LEASE_EXPIRED)

    def lease(self, limit: int, only: str = "") -> list[Any]:  # rows of this model; mypy loses which on the way
        """Take up to `limit` rows that are due, lane by lane and the oldest first, and return them in that order.

        All clocks are the database's. only: what else must hold, in SQL of our own names only.

        Binary columns (a message of 20 MB, say) stay behind until they are asked for.

        An expired lease is taken again where that is safe: the model is `replay_safe`, or its last holder had not
        begun to speak to a partner, and attempts are left.
        """
        also = f" AND {only}" if only else ""
        rows = self._take(f"work_state = 'waiting' AND due_at <= now(){also}", limit, lanes=self.model.lanes)
        if len(rows) < limit:
            begun = "" if self.model.replay_safe else " AND begun_at IS NULL"
            expired = f"work_state = 'running' AND leased_until < now() AND attempts < {self.model.max_attempts}{begun}"
            rows += self._take(f"{expired}{also}", limit - len(rows))
        return sorted(rows, key=lambda row: (getattr(row, "lane", 0), row.due_at))

    def hold_lost(self) -> int:
        """Hold for a person the rows whose worker died and that may not be tried again; return how many.

        Either the worker had begun to speak to a partner that cannot dedupe (the outcome is unknown, sending again
        could do it twice), or the row has outlived every worker that touched it.
        """
        lost = Q(attempts__gte=self.model.max_attempts)
        if not self.model.replay_safe:
            lost |= Q(begun_at__isnull=False)
        return self.filter(LEASE_EXPIRED & lost).update(
            **self.model.fields_when(WorkState.HELD),
            work_state=WorkState.HELD,
            leased_until=None,
            last_error="the worker died while it worked on this; the outcome is unknown",
            updated_at=Now(),
        )

    def back_in_line(self, *keys: Any, at_rest: Collection[str] = AT_REST) -> int:
        """Put rows back in line with fresh attempts, as a person decided; return how many: those that are `at_rest`."""
        stuck = self.filter(pk__in=keys, work_state__in=at_rest)
        waiting = {"work_state": WorkState.WAITING, "attempts": 0, "begun_at": None, "due_at": Now(), "last_error": ""}
        moved = stuck.update(**self.model.fields_when(WorkState.WAITING), **waiting, updated_at=Now())
        if moved:
            dispatch.ring(self.model.task_name)
        return moved

    def given_up(self, *keys: Any, reason: str, **changes: Any) -> int:
        """End rows that are held or failed, as a person decided; return how many. They can be put back in line.

        Of those whose outcome is unknown `begun_at` stays, so that they remain `in_doubt`.
        """
        doubt = Case(
            When(work_state=WorkState.HELD, then=Coalesce("begun_at", Now())),
            When(last_error__startswith=GIVEN_UP, then=F("begun_at")),
            default=Value(None, models.DateTimeField()),
        )
        ended = {"begun_at": doubt, "last_error": f"{GIVEN_UP}{reason}"[:300]}
        told = {**self.model.fields_when(WorkState.FAILED), **changes, **ended}
        stuck = self.filter(pk__in=keys, work_state__in=AT_REST)
        return stuck.update(**told, work_state=WorkState.FAILED, leased_until=None, updated_at=Now())

    def _take(self, where: str, limit: int, lanes: Sequence[int] = ()) -> list[Item]:
        """Lease rows of which `where` holds, the oldest first. lanes: look there only, one after the other."""
        quote = connections[self.db].ops.quote_name
        table, fields = quote(self.model._meta.db_table), self.model._meta.concrete_fields
        light = ", ".join(
            f"{table}.{quote(str(one.column))}" for one in fields if not isinstance(one, models.BinaryField)
        )
        sql = f"""
            WITH picked AS MATERIALIZED ({_picked(table, where, lanes)})
            UPDATE {table} SET work_state = 'running', leased_until = now() + make_interval(secs => %s),
                   lease_no = lease_no + 1, attempts = attempts + 1, begun_at = NULL, updated_at = now()
            FROM picked WHERE {table}.id = picked.id RETURNING {light}"""  # noqa: S608  # our own names only
        seconds = self.model.lease_for.total_seconds()
        return list(self.raw(sql, [*([limit, limit] if lanes else [limit]), seconds]))


def _picked(table: str, where: str, lanes: Sequence[int]) -> str:
    """Return the query that locks the rows to lease, with a limit as its parameter, or one twice where there are lanes.

    It goes through the lanes one by one and ends when it has enough: of later ones nothing is read or locked.
    """
    lane = f" AND {table}.lane = mine.lane" if lanes else ""
    rows = f"SELECT id FROM {table} WHERE {where}{lane} ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED"  # noqa: S608  # ours
    if not lanes:
        return rows
    mine = f"unnest(ARRAY[{', '.join(map(str, lanes))}]) AS mine (lane)"
    return f"SELECT id FROM {mine} CROSS JOIN LATERAL ({rows}) AS due LIMIT %s"  # noqa: S608  # our own names only


def work_models() -> list[type[WorkItem]]:
    """Return the models of all kinds of work, always in the same order."""
    return [model for model in apps.get_models() if issubclass(model, WorkItem)]


class WorkItem(TimeStampedModel):
    """A row that is its own queue entry.

    `work_state` says how far a machine has come; what is true in the clinic is the model's own `status`. `lease_no`
    only grows: it is the fence that keeps a slow worker from overwriting its successor. A person may reset `attempts`.

    lease_for: shorter than LEASE only where the handler calls `renew` while it works and what it does beside the row
    comes to nothing without the fence: then a worker that died is followed soon, and one that is slow does no harm.
    """

    task_name: ClassVar[str]
    max_attempts: ClassVar[int] = 8
    replay_safe: ClassVar[bool] = False  # True: handling twice has the effect of handling once
    lease_for: ClassVar[timedelta] = LEASE
    lanes: ClassVar[tuple[int, ...]] = ()  # values of a column `lane`: rows of an earlier one are leased first

    work_state = models.CharField(
        max_length=8,
        choices=WorkState,
        default=WorkState.WAITING,
        db_default=WorkState.WAITING,
        editable=False,
    )
    due_at = models.DateTimeField(db_default=Now(), default=timezone.now, editable=False)
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_no = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    last_error = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    dedupe_key = models.CharField(max_length=160, unique=True, editable=False)

    work = WorkQuerySet.as_manager()

    class Meta:
        abstract = True

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        """Return the domain fields to save when a machine is done with the row: {"status": "failed"}, say."""
        return {}

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows how its last try ended: it is held, or was when a person gave it up."""
        ended = self.work_state == WorkState.FAILED and self.last_error.startswith(GIVEN_UP)
        return self.work_state == WorkState.HELD or (ended and self.begun_at is not None)

    def begin(self) -> bool:
        """Note, before we speak to a partner, that we are about to; False if the lease is no longer ours."""
        return bool(self._mine().filter(leased_until__gt=Now()).update(begun_at=Now(), updated_at=Now()))

    def finish(self, **changes: Any) -> bool:
        return self._settle(WorkState.DONE, "", **changes)

    def renew(self, lasting: timedelta | None = None) -> bool:
        """Hold the row for another `lease_for`, or as long as the next step takes; False if it is no longer ours."""
        return bool(self._mine().update(leased_until=Now() + (lasting or self.lease_for)))

    def give_up(self, error: str, **changes: Any) -> bool:
        return self._settle(WorkState.FAILED, error, **changes)

    def hold(self, error: str) -> bool:
        return self._settle(WorkState.HELD, error)

    def retry_later(self, error: str, after: timedelta) -> bool:
        """Put the row back in line `after` from now, or give up when its attempts are used up."""
        if self.attempts >= self.max_attempts:
            return self.give_up(error)
        return self._settle(WorkState.WAITING, error, due_at=Now() + after, begun_at=None)

    def release(self, after: timedelta | None = None) -> bool:
        """Give an untouched row back, at once or to be taken `after` from now; the attempt does not count."""
        due = {} if after is None else {"due_at": Now() + after}
        back = {"attempts": F("attempts") - 1, "begun_at": None}
        return self._settle(WorkState.WAITING, self.last_error, **back, **due)

    def _mine(self) -> models.QuerySet[Any]:
        """The row, only while our own lease still holds."""
        return type(self).work.filter(pk=self.pk, work_state=WorkState.RUNNING, lease_no=self.lease_no)

    def _settle(self, state: WorkState, error: str, **changes: Any) -> bool:
        values = {
            **self.fields_when(state),
            **changes,
            "work_state": state,
            "last_error": error[:300],
        }
        return bool(self._mine().update(**values, leased_until=None, updated_at=Now()))


def begin_all(items: Sequence[Item]) -> list[Item]:
    """Do what `begin` does for leased rows of one model in one fenced statement; return those that are still ours."""
    if not items:
        return []
    model = type(items[0])
    table = connections[router.db_for_write(model)].ops.quote_name(model._meta.db_table)
    sql = f"""
        UPDATE {table} SET begun_at = now(), updated_at = now()
        FROM unnest(%s::uuid[], %s::int[]) AS mine (id, lease_no)
        WHERE {table}.id = mine.id AND {table}.lease_no = mine.lease_no
          AND work_state = 'running' AND leased_until > now() RETURNING {table}.id"""  # noqa: S608  # our own names only
    with connections[router.db_for_write(model)].cursor() as cursor:
        cursor.execute(sql, [[item.pk for item in items], [item.lease_no for item in items]])
        ours = {key for (key,) in cursor.fetchall()}
    return [item for item in items if item.pk in ours]


def release_all(items: Sequence[WorkItem]) -> int:
    """Do what `release` does for leased rows of one model in one fenced statement; return how many were still ours."""
    if not items:
        return 0
    model = type(items[0])
    back = {"work_state": WorkState.WAITING, "attempts": F("attempts") - 1, "begun_at": None, "leased_until": None}
    mine = model.work.filter(_held_by(items), work_state=WorkState.RUNNING)
    return mine.update(**model.fields_when(WorkState.WAITING), **back, updated_at=Now())


def _held_by(rows: Sequence[WorkItem]) -> Q:
    """Return the fence around these rows, each at the lease we hold it by."""
    fence = Q()
    for lease_no in {row.lease_no for row in rows}:
        fence |= Q(lease_no=lease_no, pk__in=[row.pk for row in rows if row.lease_no == lease_no])
    return fence


def finish_all(items: Iterable[WorkItem]) -> int:
    """Mark every leased row of one model as done in one fenced statement; return how many were still ours."""
    rows = list(items)
    if not rows:
        return 0
    model = type(rows[0])
    values = {
        **model.fields_when(WorkState.DONE),
        "work_state": WorkState.DONE,
        "last_error": "",
    }
    mine = model.work.filter(_held_by(rows), work_state=WorkState.RUNNING)
    return mine.update(**values, leased_until=None, updated_at=Now())


def settle_all(outcomes: Iterable[tuple[WorkItem, Mapping[str, Any]]], *, also: str = "") -> set[Any]:
    """Mark leased rows of one model as done, each with its own fields, in one fenced statement per set of field names.

    Returns the keys of the rows that were still ours; the others have been taken over, and nothing was written there.
    also: more assignments for all of them, in SQL of our own names only.
    """
    kinds: dict[frozenset[str], list[tuple[WorkItem, Mapping[str, Any]]]] = defaultdict(list)
    for item, changes in outcomes:
        kinds[frozenset(changes)].append((item, changes))
    return {key for names, rows in kinds.items() for key in _settle_alike(rows, sorted(names), also)}


def note_all(notes: Sequence[tuple[WorkItem, Mapping[str, Any]]]) -> set[Any]:
    """Write fields of leased rows that stay leased, the same fields for each; return the keys of those still ours."""
    if not notes:
        return set()
    columns = _columns(notes, sorted(notes[0][1]))
    rows = [item for item, _ in notes]
    return set(write_each(type(rows[0]), [row.pk for row in rows], columns, also=TOUCHED, matched=_fence(rows)))


def _settle_alike(rows: list[tuple[WorkItem, Mapping[str, Any]]], names: list[str], also: str) -> list[Any]:
    model, values = type(rows[0][0]), _columns(rows, names)
    done = {**model.fields_when(WorkState.DONE), "work_state": WorkState.DONE.value, "last_error": ""}
    for name, value in done.items():
        values.setdefault(str(_fields(model)[name].column), [value] * len(rows))
    items = [item for item, _ in rows]
    more = f"leased_until = NULL, {TOUCHED}{', ' if also else ''}{also}"
    return write_each(model, [item.pk for item in items], values, matched=_fence(items), also=more)


def _columns(rows: Sequence[tuple[WorkItem, Mapping[str, Any]]], names: Collection[str]) -> dict[str, list[Any]]:
    """Return by column what the rows are to hold in the fields `names`."""
    model = type(rows[0][0])
    fields = {name: _fields(model)[name] for name in names}
    columns = {
        str(field.column): [prepared(field, changes[name], row) for row, changes in rows]
        for name, field in fields.items()
    }
    for index in sealed.indexes(model):
        if index.of in names:
            columns[str(index.column)] = [index.digest(changes[index.of]) for _, changes in rows]
    return columns


def _fields(model: type[WorkItem]) -> dict[str, models.Field[Any, Any]]:
    return {name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)}


def _fence(items: Sequence[WorkItem]) -> dict[str, list[Any]]:
    return {"lease_no": [item.lease_no for item in items], "work_state": [WorkState.RUNNING.value] * len(items)}


def work_indexes(name: str, *, lanes: bool = False) -> list[models.Index]:
    """Return the three partial indexes every work table needs; `name` is a short prefix (20 characters at most).

    Rows that are done, which is nearly all of them, are in none. Those of `_stuck` are ordered by a column that others
    hold already, so that no update of a row costs more for it.
    """
    return [
        models.Index(
            fields=["lane", "due_at"] if lanes else ["due_at"],
            name=f"{name}_lane" if lanes else f"{name}_waiting",
            condition=Q(work_state=WorkState.WAITING),
        ),
        models.Index(
            fields=["leased_until"],
            name=f"{name}_running",
            condition=Q(work_state=WorkState.RUNNING),
        ),
        models.Index(
            fields=["work_state", "due_at"],
            name=f"{name}_stuck",
            condition=Q(work_state__in=AT_REST),
        ),
    ]


def backoff(attempts: int) -> timedelta:
    """Return the wait after attempt number `attempts`: 30 s, 1, 2, 4 ... minutes, at most 6 hours."""
    return timedelta(seconds=min(BACKOFF_FIRST_S * 2 ** max(attempts - 1, 0), BACKOFF_MOST_S))
