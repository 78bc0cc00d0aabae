"""Tampers with the laboratory's rows behind the database's back; each trick must be found, and honest books agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.core.ledger import Books
from backend.apps.laboratory import reconcile
from backend.apps.laboratory.models import InboundMessage, LabFeed, LabResult
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_order, make_lab_result

pytestmark = pytest.mark.django_db
MINUTES = timedelta(minutes=5)


def settled(status: str = "filed", **over: Any) -> InboundMessage:
    """Save a message a machine has dealt with."""
    code = {"rejected": "AR"}.get(status, "AA")
    fields = {"status": status, "work_state": "done", "ack_code": code, "lease_no": int(status != "rejected")}
    return make_inbound_message(**{**fields, **over})


def filed_with_result(raw: bytes | None = None) -> tuple[InboundMessage, LabResult]:
    message = settled(raw=raw)
    return message, make_lab_result(source_message=message)


def books() -> Books:
    return reconcile.laboratory(None, None, settle=MINUTES)


def faults() -> dict[str, int]:
    return {fault.check: fault.count for fault in books().faults}


@contextmanager
def behind_the_back() -> Iterator[Any]:
    """Yield a cursor for which no trigger and no foreign key holds, as for an intruder or a bad restore."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what was done openly until here is checked
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_honest_books_agree_per_feed_and_outcome() -> None:
    feed = LabFeed.objects.create(name="North", sending_facility="NORTH")
    for status in ("filed", "worklist", "rejected", "duplicate", "filed"):
        settled(status, feed=feed)
    settled("worklist", peer="file")
    make_inbound_message()
    found = books()
    assert found.agree
    assert {account.name: (account.taken_in, account.in_line) for account in found.accounts} == {
        "North": (5, 0),
        "files": (1, 0),
        "no feed": (1, 1),
    }
    (north,) = (account for account in found.accounts if account.name == "North")
    assert north.outcomes == {"filed": 2, "worklist": 1, "rejected": 1, "duplicate": 1}


def test_a_message_in_line_for_longer_than_allowed_is_a_fault() -> None:
    make_inbound_message(received_at=timezone.now() - timedelta(minutes=4))
    assert faults() == {}
    make_inbound_message(received_at=timezone.now() - timedelta(minutes=6))
    assert faults() == {"in line": 2}


def test_a_deleted_row_is_missed_although_nothing_refers_to_it() -> None:
    gone, _ = settled("worklist"), settled("worklist")
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_inboundmessage WHERE id = %s", [gone.pk])
    assert faults() == {"intake": 1}
    (account,) = books().accounts
    assert account.unexplained == 1


def test_a_strangers_message_that_is_taken_once_its_feed_is_set_up_moves_to_that_account() -> None:
    message = settled("rejected", control_id="MOVED")
    feed = LabFeed.objects.create(name="North", sending_facility="NORTH")
    InboundMessage.objects.filter(pk=message.pk).update(
        feed=feed, status="received", work_state="waiting", ack_code="AA"
    )
    assert faults() == {}
    assert {account.name: account.taken_in for account in books().accounts} == {"North": 1, "no feed": 0}
    with behind_the_back() as cursor:
        cursor.execute("UPDATE laboratory_inboundmessage SET feed_id = NULL")
    assert faults() == {"intake": 2}


@pytest.mark.parametrize(
    "trick", ["DELETE FROM laboratory_intakecount", "UPDATE laboratory_intakecount SET taken = taken - 1, marks = 0"]
)
def test_the_ledger_itself_only_counts_up(trick: str) -> None:
    settled("worklist")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(trick)
    assert faults() == {}


def test_a_row_that_was_put_in_uncounted_is_found() -> None:
    with behind_the_back():
        settled("worklist")
    assert faults() == {"intake": 1}
    assert not books().agree


def test_a_row_exchanged_for_another_is_found() -> None:
    gone = settled("worklist")
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_inboundmessage WHERE id = %s", [gone.pk])
        settled("worklist", received_at=gone.received_at)
    assert faults() == {"exchanged": 1}


@pytest.mark.parametrize(
    "change", ["raw = convert_to(repeat('x', 41), 'UTF8'), size_bytes = 1", "sha256 = repeat('0', 64)"]
)
def test_rewritten_bytes_or_digests_are_found(change: str) -> None:
    message = settled("worklist")
    with behind_the_back() as cursor:
        cursor.execute(f"UPDATE laboratory_inboundmessage SET {change} WHERE id = %s", [message.pk])  # noqa: S608  # ours
    assert "digest" in faults()


def test_a_row_moved_to_another_hour_is_found_in_both() -> None:
    message = settled("worklist")
    with behind_the_back() as cursor:
        cursor.execute("UPDATE laboratory_inboundmessage SET received_at = received_at - interval '1 day'")
    assert message.pk
    assert faults() == {"intake": 2}


def test_results_deleted_from_under_a_filed_message_are_missed() -> None:
    _, result = filed_with_result(b"MSH|^~\\&|LAB\rOBX|1|NM|2823-3||4.1\r")
    assert faults() == {}
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_labresult WHERE id = %s", [result.pk])
    assert faults() == {"results": 1, "results: gone": 1}


def test_a_version_taken_out_of_the_middle_is_missed() -> None:
    order, key = make_lab_order(), "a" * 64
    versions = [
        make_lab_result(lab_order=order, result_key=key, version=n, is_current=n == 3, result_value=f"{n}")
        for n in (1, 2, 3)
    ]
    settled("filed")  # an hour to look at
    assert faults() == {}
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_labresult WHERE id = %s", [versions[1].pk])
    assert faults() == {"versions": 1, "results: gone": 1}


def test_one_of_several_results_of_a_message_that_is_gone_is_missed() -> None:
    message, kept = filed_with_result(b"MSH|^~\\&|LAB\rOBX|1|NM|2823-3||4.1\r")
    gone = make_lab_result(source_message=message)
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_labresult WHERE id = %s", [gone.pk])
    assert kept.pk
    assert faults() == {"results: gone": 1}


def test_a_message_deleted_with_its_results_still_there_is_found_twice() -> None:
    message, _ = filed_with_result()
    settled("filed")
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_inboundmessage WHERE id = %s", [message.pk])
    assert faults() == {"intake": 1, "source is gone": 1}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("status = 'rejected'", "source"),
        ("ack_code = 'AR', lease_no = 0", "acknowledgement"),
        ("status = 'rejected', lease_no = 0", "acknowledgement"),
        ("status = 'received'", "left behind"),
        ("work_state = 'waiting'", "left behind"),
    ],
)
def test_an_outcome_that_contradicts_what_was_told_or_filed_is_found(change: str, found: str) -> None:
    message, _ = filed_with_result()
    with behind_the_back() as cursor:
        cursor.execute(f"UPDATE laboratory_inboundmessage SET {change} WHERE id = %s", [message.pk])  # noqa: S608  # ours
    assert found in faults()


def test_the_same_message_stored_twice_is_found() -> None:
    first, second = settled("worklist"), settled("worklist")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no event may be pending when a table is changed
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'laboratory_inboundmessage'::regclass "
            "AND contype = 'u' AND conname LIKE '%dedupe%'"
        )
        (name,) = cursor.fetchone()
        cursor.execute(f'ALTER TABLE laboratory_inboundmessage DROP CONSTRAINT "{name}"')
    InboundMessage.all_objects.filter(pk=second.pk).update(dedupe_key=first.dedupe_key)
    assert faults() == {"once": 2}


def test_only_the_hours_asked_for_are_looked_at() -> None:
    old = settled("worklist", received_at=timezone.now() - timedelta(days=3))
    settled("filed")
    with behind_the_back() as cursor:
        cursor.execute("UPDATE laboratory_inboundmessage SET status = 'received' WHERE id = %s", [old.pk])
    yesterday = timezone.now() - timedelta(days=1)
    assert reconcile.laboratory(yesterday, None, settle=MINUTES).agree
    assert not reconcile.laboratory(None, yesterday, settle=MINUTES).agree


def test_the_command_prints_each_account_and_ends_with_1_when_a_row_is_gone() -> None:
    feed, out = LabFeed.objects.create(name="North", sending_facility="NORTH"), StringIO()
    gone = settled("worklist", feed=feed)
    settled("filed", feed=feed)
    call_command("reconcile", stdout=out)
    assert "Everything agrees, to the row." in out.getvalue()
    assert "North" in out.getvalue()
    with behind_the_back() as cursor:
        cursor.execute("DELETE FROM laboratory_inboundmessage WHERE id = %s", [gone.pk])
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("reconcile", "--part", "laboratory", "--json", stdout=out)
    (laboratory,) = json.loads(out.getvalue())
    assert laboratory["agree"] is False
    assert laboratory["accounts"][0]["unexplained"] == 1
    assert [fault["check"] for fault in laboratory["faults"]] == ["intake"]


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "2026-01-01T25:00"])
def test_a_moment_that_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(CommandError, match="--since is a date or a moment"):
        call_command("reconcile", "--since", text)
