"""Proves that a replay shows first what it would do, then does it once, whatever happens to its workers."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from backend.apps.interop.management.commands import labs
from backend.apps.laboratory import inbox, replays
from backend.apps.laboratory.models import (
    CriticalResult,
    InboundMessage,
    LabOrder,
    LabReplay,
    LabResult,
    ReplayedMessage,
)
from backend.apps.laboratory.tests.factories import make_lab_feed, make_lab_replay
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.lab_messages import oru
from tests.workers.rows import COMMITS, HOUR, elsewhere, run_out, stored, take_over
from workers import lab_replays, lab_results
from workers.runner import drain, drain_together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
STATUSES = ("P", "F", "C")


def file_all() -> None:
    InboundMessage.work.update(due_at=long_ago())
    while drain_together(InboundMessage, lab_results.file_all) != "nothing due":
        pass


def long_ago() -> datetime:
    """Return a moment before the test's transaction began, whose clock decides what is due."""
    return timezone.now() - HOUR


def run_all() -> str:
    told = []
    LabReplay.work.update(due_at=long_ago())
    while (last := drain(LabReplay, lab_replays.run, batch=1)) != "nothing due":
        told.append(last)
    return ", ".join(told)


def replay(*messages: InboundMessage, dry_run: bool = True) -> LabReplay:
    made = replays.request(by=None, messages=[message.pk for message in messages], dry_run=dry_run)
    run_all()
    made.refresh_from_db()
    assert (made.status, made.work_state, made.done) == ("finished", "done", made.total)
    return made


def everything() -> list[Any]:
    """Return the laboratory's tables as they stand, but for the replays' own."""
    tables = (LabOrder.all_objects, LabResult.all_objects, InboundMessage.all_objects)
    return [sorted(table.values_list(), key=str) for table in tables]


def test_replaying_what_was_filed_shows_no_difference_and_makes_none() -> None:
    patient, other = make_patient(), make_patient()
    messages = [oru(patient, status=status, minute=place) for place, status in enumerate(STATUSES)]
    messages += [oru(patient, other, value="5.0", minute=9)]
    file_all()
    before = everything()
    for order in itertools.islice(itertools.permutations(messages), 0, 24, 7):
        for dry_run in (True, False):
            made = replay(*order, dry_run=dry_run)
            assert (made.differs, replays.difference(made)) == (0, [])
    assert everything() == before


def test_a_dry_run_shows_the_difference_and_changes_nothing_and_the_real_run_does_what_it_showed() -> None:
    patient = make_patient()
    mrn = patient.medical_record_number
    Patient.objects.update(medical_record_number="OTHER")
    messages = [oru(patient, status=status, value=f"4.{place}", minute=place) for place, status in enumerate(STATUSES)]
    file_all()
    Patient.objects.update(medical_record_number=mrn)
    assert set(InboundMessage.objects.values_list("status", flat=True)) == {"worklist"}
    before = everything()
    dry = replay(*messages)
    assert everything() == before
    shown = replays.difference(dry)
    results = {(entry["version"], entry["after"]["result_value"]) for entry in shown if entry["kind"] == "result"}
    assert results == {(1, "4.0"), (2, "4.1"), (3, "4.2")}
    assert {entry["change"] for entry in shown} == {"appears"}
    assert {entry["patient"] for entry in shown} == {str(patient.pk)}
    assert (dry.appears, dry.changes, dry.disappears) == (4, 0, 0)
    assert replays.outcomes(dry) == {"filed": 3}
    real = replays.apply(dry, by=None)
    run_all()
    real.refresh_from_db()
    assert replays.difference(real) == shown
    assert set(InboundMessage.objects.values_list("status", "work_state")) == {("filed", "done")}
    current = LabResult.objects.get(is_current=True)
    assert (current.result_value, current.version, current.status) == ("4.2", 3, "corrected")


def test_a_correction_that_would_arrive_is_shown_as_a_change_of_what_stood() -> None:
    patient = make_patient()
    oru(patient, value="4.1")
    file_all()
    late = oru(patient, status="C", value="6.6", minute=5, status_reason="Whose?")
    InboundMessage.objects.filter(pk=late.pk).update(status="worklist", work_state="done")
    shown = replays.difference(replay(late))
    changed = [entry for entry in shown if entry["change"] == "changes" and entry["kind"] == "result"]
    assert [(entry["before"], entry["after"]) for entry in changed] == [({"is_current": True}, {"is_current": False})]
    assert LabResult.objects.count() == 1


def test_what_is_in_line_or_was_skipped_is_left_alone() -> None:
    patient = make_patient()
    waiting, running, skipped = (oru(patient, value=f"4.{n}", minute=n) for n in range(3))
    InboundMessage.objects.filter(pk=running.pk).update(work_state="running")
    InboundMessage.objects.filter(pk=skipped.pk).update(status="worklist", work_state="done")
    skipped.refresh_from_db()
    inbox.skip(skipped, by=None, reason="a test")
    made = replay(waiting, running, skipped, dry_run=False)
    assert replays.outcomes(made) == {"in line": 2, "left": 1}
    assert not LabResult.objects.exists()
    skipped.refresh_from_db()
    assert skipped.status == "rejected"


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
def test_a_failed_replay_put_back_in_line_goes_on_and_a_cancelled_one_does_not(ended: str) -> None:
    made = make_lab_replay()
    LabReplay.work.filter(pk=made.pk).update(work_state="failed", status=ended, attempts=8)
    assert LabReplay.work.back_in_line(made.pk)
    run_all()
    made.refresh_from_db()
    assert (made.status, made.work_state) == ("finished" if ended == "failed" else "cancelled", "done")


def test_a_message_that_breaks_the_filing_does_not_stop_the_others() -> None:
    patient = make_patient()
    messages = [oru(patient, value=f"4.{n}", minute=n) for n in range(2)]
    messages[0].feed = make_lab_feed(time_zone="/no/zone")  # which no form would take
    messages[0].save(update_fields=["feed"])
    InboundMessage.objects.update(status="worklist", work_state="done")
    made = replay(*messages, dry_run=False)
    assert replays.outcomes(made) == {"broken": 1, "filed": 1}
    assert ReplayedMessage.objects.get(status="broken").status_reason == "Filing it broke (ValueError)."
    assert InboundMessage.objects.get(pk=messages[0].pk).status == "worklist"


def test_a_replay_longer_than_a_lease_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [oru(make_patient(), status="F", minute=n) for n in range(5)]
    InboundMessage.objects.update(status="worklist", work_state="done")
    monkeypatch.setattr(lab_replays, "BUDGET_S", 0.0)
    monkeypatch.setattr(lab_replays, "FILED_AT_ONCE", 1)
    made = replays.request(by=None, messages=[message.pk for message in messages], dry_run=False)
    assert run_all().count("1 released") == 6  # places once, then one group a lease
    made.refresh_from_db()
    assert (made.status, made.done, made.attempts) == ("finished", 5, 1)
    assert LabResult.objects.count() == 5


def test_a_cancelled_replay_stops_after_its_part() -> None:
    messages = [oru(make_patient(), minute=n) for n in range(3)]
    InboundMessage.objects.update(status="worklist", work_state="done")
    made = replays.request(by=None, messages=[message.pk for message in messages], dry_run=False)
    replays.cancel(made, by=None)
    assert run_all() == "1 not needed"
    made.refresh_from_db()
    assert (made.status, made.work_state, made.done) == ("cancelled", "done", 0)
    assert made.finished_at is not None
    assert not LabResult.objects.exists()


def test_a_dry_run_rings_no_bell_and_a_real_run_does_nothing_twice(rung: list[str]) -> None:
    message = oru(make_patient())
    InboundMessage.objects.update(status="worklist", work_state="done")
    rung.clear()
    replay(message)
    assert set(rung) == {"lab_replays.run"}
    replay(message, dry_run=False)
    stood = everything()
    again = replay(message, dry_run=False)
    assert again.differs == 0
    assert everything() == stood


def test_a_dry_run_of_a_critical_result_pages_nobody_and_the_real_run_does() -> None:
    message = oru(make_patient(), value="6.9", flag="HH")
    InboundMessage.objects.update(status="worklist", work_state="done")
    replay(message)
    assert not CriticalResult.objects.exists()
    replay(message, dry_run=False)
    assert CriticalResult.objects.count() == 1
    replay(message, dry_run=False)
    assert CriticalResult.objects.count() == 1


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], []),
        ([[], []], [0, 1]),
        ([["a"], ["b"], ["a"]], [0, 1, 0]),
        ([["a"], ["b"], ["a", "b"], ["c"]], [0, 0, 0, 3]),
        ([["a"], ["b"], ["c"], ["b", "c"], ["a", "c"]], [0, 0, 0, 0, 0]),
    ],
)
def test_messages_that_share_a_chart_are_filed_together(lists: list[list[str]], expected: list[int]) -> None:
    assert lab_replays.groups(lists) == expected


@pytest.mark.django_db(**COMMITS)
def test_a_worker_that_lost_its_lease_changes_nothing_and_its_successor_ends_the_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab_replays, "FILED_AT_ONCE", 1)
    messages = [oru(make_patient(), minute=n, status="F") for n in range(4)]
    InboundMessage.objects.update(status="worklist", work_state="done")
    made = replays.request(by=None, messages=[message.pk for message in messages], dry_run=False)
    (slow,) = LabReplay.work.lease(1)
    while lab_replays._place_some(slow):
        pass
    lab_replays._group_all(slow)
    assert lab_replays._file_some(slow)  # it files one and is killed, or hangs
    take_over(made)
    with pytest.raises(lab_replays.NotNeeded):
        lab_replays._file_some(slow)
    elsewhere(lambda: run_out(made))
    elsewhere(run_all)
    assert not slow.finish(status="failed")
    done = stored(made)
    assert (done.status, done.done, done.appears) == ("finished", 4, 8)
    assert LabResult.objects.count() == 4


@pytest.mark.django_db(**COMMITS)
def test_a_replay_from_a_terminal_is_tried_told_and_done_only_with_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labs, "LOOK_AGAIN_S", 0.02)
    message = oru(make_patient(), value="6.9", flag="HH")
    InboundMessage.objects.update(status="worklist", work_state="done")
    with working():
        told = said("replay", "--ids", str(message.pk), "--dry-run")
        assert "1 of 1 messages done" in told
        assert "2 appear, 0 change" in told
        assert "appears     2823-3 version 1 in a new order: final" in told
        assert "6.9" not in told
        with pytest.raises(CommandError, match="Nothing was filed"):
            said("replay", "--ids", str(message.pk))
        assert not LabReplay.objects.filter(dry_run=False).exists()
        assert said("replay", "--ids", str(message.pk), "--yes").count("Messages: 1 filed") == 2
    assert LabReplay.objects.filter(dry_run=False).count() == 1
    assert LabResult.objects.get().result_value == "6.9"


def said(*words: str) -> str:
    out = io.StringIO()
    call_command(labs.Command(), *words, stdout=out)  # its app is not among `available_apps`
    return out.getvalue()


@contextmanager
def working() -> Iterator[None]:
    """A worker that does what is due meanwhile."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.02):
                lab_replays.run_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            yield
        finally:
            stop.set()
        done.result(10)
