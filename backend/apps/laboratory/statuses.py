"""Lets orders follow their results; without this an order would stay open however much was found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from backend.apps.core.bulk import update_each
from backend.apps.laboratory.models import LabOrder, LabResult, OrderStatus, ResultStatus
from backend.apps.laboratory.models.results import SETTLED

FOLLOWED = ("status", "completed_at", "cancelled_at", "cancellation_reason", "reviewed_by", "reviewed_at")


class Current(NamedTuple):
    """What counts of a current result for its order."""

    status: str
    said_at: datetime | None  # by the laboratory's clock
    answers: Sequence[str | None]  # the codes of what it answers


def follow_all(orders: Iterable[LabOrder], *, emptied: Collection[UUID] = (), renewed: Collection[UUID] = ()) -> None:
    """Let each order's status say what its current results say, and save those that changed, in three statements.

    emptied: as in `settle`. renewed: orders with something new in them, which ask for another look.
    """
    rows = list(orders)
    stood = {row.pk: _standing(row) for row in rows}
    for row in rows:
        if row.pk in renewed:
            unreview(row)
    settle(rows, emptied=emptied)
    update_each([row for row in rows if _standing(row) != stood[row.pk]], FOLLOWED)


def settle(orders: Sequence[LabOrder], *, emptied: Collection[UUID] = ()) -> None:
    """Set the status of each order by its results, without saving.

    emptied: orders some of whose results turned out not to be theirs.
    """
    keys = [row.pk for row in orders]
    if not keys:
        return
    current, ordered = _current(keys), _ordered(keys)
    for row in orders:
        _settle(row, current[row.pk], ordered[row.pk], emptied=row.pk in emptied)


def _current(keys: list[UUID]) -> dict[UUID, list[Current]]:
    names = (
        "lab_order_id", "status", "reported_at", "sent_at",
        "panel_code", "code_as_sent", "lab_test__test_code", "panel__lab_test__test_code",
    )  # fmt: skip
    found: dict[UUID, list[Current]] = defaultdict(list)
    rows = LabResult.objects.filter(lab_order__in=keys, is_current=True).order_by().values_list(*names)
    for order, status, reported_at, sent_at, *answers in rows:
        found[order].append(Current(status, reported_at or sent_at, answers))
    return found


def _ordered(keys: list[UUID]) -> dict[UUID, set[str]]:
    found: dict[UUID, set[str]] = defaultdict(set)
    links = LabOrder.tests.through.objects.filter(laborder__in=keys)
    for order, code in links.values_list("laborder_id", "labtest__test_code"):
        found[order].add(code)
    return found


def _settle(order: LabOrder, rows: list[Current], ordered: set[str], *, emptied: bool) -> None:
    statuses = {row.status for row in rows}
    at = max((row.said_at for row in rows if row.said_at), default=order.completed_at)
    if rows and statuses == {ResultStatus.CANCELLED}:
        order.stand(OrderStatus.CANCELLED, at)
    elif rows and statuses <= set(SETTLED) and not _awaits_more(ordered, rows):
        order.stand(OrderStatus.COMPLETED, at)
    elif rows or order.is_open or emptied:
        order.stand(OrderStatus.IN_PROGRESS)


def _awaits_more(ordered: set[str], rows: list[Current]) -> bool:
    """Return whether some of the ordered tests have no result yet, where the laboratory uses our codes at all."""
    answered = {code for row in rows for code in row.answers}
    return bool(ordered & answered and ordered - answered)


def unreview(order: LabOrder) -> None:
    """Ask for another look, because something new has arrived since the last one; saved with the rest."""
    order.reviewed_by, order.reviewed_at = None, None


def _standing(order: LabOrder) -> tuple[Any, ...]:
    return tuple(getattr(order, f"{name}_id" if name == "reviewed_by" else name) for name in FOLLOWED)
