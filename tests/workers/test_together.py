"""Holds what the runner does with many rows as one: an outcome for each, and a bad one costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.laboratory.models import InboundMessage
from integrations.errors import Permanent, Transient
from tests.workers.rows import CANARY, COMMITS, messages, stored, take_over
from workers.runner import HandlerBug, drain_together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def all_filed(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"status": "filed", "status_reason": row.control_id} for row in rows]


def all_but(bad: Any, error: Exception) -> Callable[[Sequence[Any]], list[dict[str, Any]]]:
    """Handle everything but one row."""

    def handle(rows: Sequence[Any]) -> list[dict[str, Any]]:
        if bad.pk in {row.pk for row in rows}:
            raise error
        return all_filed(rows)

    return handle


def test_outcomes_together_differ_by_row_and_take_one_statement(django_assert_num_queries: Any) -> None:
    for count in (2, 20):
        rows = messages(count)
        with django_assert_num_queries(6):  # two looks for rows to lease, one outcome in its savepoint, the tally
            assert drain_together(InboundMessage, all_filed) == f"{count} done"
        assert all(stored(row).status_reason == row.control_id for row in rows)


@pytest.mark.parametrize(
    ("error", "told", "state"),
    [
        (Permanent("refused", code="x:1"), "6 done, 1 failed", "failed"),
        (Transient("busy", code="x:1"), "6 done, 1 waiting", "waiting"),
    ],
)
def test_together_a_row_that_cannot_be_handled_costs_only_itself(error: Exception, told: str, state: str) -> None:
    rows = messages(7)
    assert drain_together(InboundMessage, all_but(rows[4], error)) == told
    assert [stored(row).work_state for row in rows] == ["done"] * 4 + [state] + ["done"] * 2


def test_together_a_bug_is_told_without_its_text_and_its_row_waits(caplog: pytest.LogCaptureFixture) -> None:
    rows = messages(3)
    with pytest.raises(HandlerBug, match=r"^KeyError in lab_results\.file$"):
        drain_together(InboundMessage, all_but(rows[1], KeyError(CANARY)))
    assert [stored(row).work_state for row in rows] == ["done", "waiting", "done"]
    assert CANARY not in caplog.text


@pytest.mark.django_db(**COMMITS)
def test_together_an_outcome_the_database_refuses_costs_only_its_row() -> None:
    rows = messages(4)

    def handle(some: Sequence[Any]) -> list[dict[str, Any]]:
        return [{"status": "nonsense" if row.pk == rows[2].pk else "filed"} for row in some]

    with pytest.raises(HandlerBug, match="IntegrityError"):
        drain_together(InboundMessage, handle)
    assert [stored(row).work_state for row in rows] == ["done", "done", "waiting", "done"]


@pytest.mark.django_db(**COMMITS)
def test_together_outcomes_are_fenced_too() -> None:
    rows = messages(3)

    def handle(some: Sequence[Any]) -> list[dict[str, Any]]:
        take_over(rows[1])
        return all_filed(some)

    assert drain_together(InboundMessage, handle) == "2 done, 1 lease lost"
    assert stored(rows[1]).status == "received"
    assert [stored(row).work_state for row in rows] == ["done", "running", "done"]


def test_a_full_batch_rings_before_it_is_handled(rung: list[str]) -> None:
    messages(2)

    def handle(some: Sequence[Any]) -> list[dict[str, Any]]:
        assert rung == ["lab_results.file"]
        return all_filed(some)

    assert drain_together(InboundMessage, handle, batch=2) == "2 done"


def test_only_what_is_safe_to_do_twice_may_be_handled_together() -> None:
    with pytest.raises(TypeError, match="not safe"):
        drain_together(AppointmentReminder, all_filed)
