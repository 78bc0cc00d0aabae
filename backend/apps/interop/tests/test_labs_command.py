"""Proves that the lab inbox can be tended from a terminal, and that nothing printed there names a patient."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from backend.apps.core.models import Clinic
from backend.apps.interop.management.commands import labs
from backend.apps.laboratory.models import LabReplay
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed

pytestmark = pytest.mark.django_db
ORU = (
    b"MSH|^~\\&|LIS|LAB|||20260302||ORU^R01|Q1|P|2.5.1\r"
    b"PID|1||MRN77||Zqlast^Zqfirst\rOBX|1|NM|2823-3^K^LN||6.9|||HH|||F\r"
)


def said(*words: str) -> str:
    out = io.StringIO()
    call_command("labs", *words, stdout=out)
    return out.getvalue()


def waiting(**over: Any) -> Any:
    return make_inbound_message(**{"status": "worklist", "work_state": "done", "status_reason": "Whose?", **over})


def test_messages_are_listed_by_the_filters_of_the_inbox() -> None:
    feed = make_lab_feed(name="Elm")
    mine, other = waiting(feed=feed), make_inbound_message(status="filed")
    told = said("list", "--feed", "Elm", "--state", "worklist")
    assert str(mine.pk) in told
    assert "Whose?" in told
    assert str(other.pk) not in told
    assert said("list", "--since", "2999-01-01") == ""
    for words in (["--feed", "Nobody"], ["--since", "soon"]):
        with pytest.raises(CommandError):
            said("list", *words)


@pytest.mark.parametrize(
    ("since", "found"),
    [("2026-03-02", True), ("2026-03-02T00:30", False), ("2026-03-02T00:30Z", True), ("2026-03-02T10:01Z", False)],
)
def test_a_day_begins_at_midnight_in_the_clinics_zone(since: str, found: bool) -> None:
    Clinic.objects.create(name="West", time_zone="Pacific/Honolulu")
    message = waiting(received_at=datetime(2026, 3, 2, 10, tzinfo=UTC))  # midnight in Honolulu
    assert (str(message.pk) in said("list", "--since", since)) is found
    assert (str(message.pk) in said("list", "--until", since)) is not found


def test_the_books_are_opened_at_midnight_in_the_clinics_zone() -> None:
    Clinic.objects.create(name="West", time_zone="Pacific/Honolulu")
    out = io.StringIO()
    call_command("reconcile", "--since", "2026-03-02", "--until", "2026-03-02T12:00", stdout=out)
    assert "from 2026-03-02 10:00 UTC until 2026-03-02 22:00 UTC" in out.getvalue()


def test_a_file_is_explained_masked_unless_asked_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "one.hl7"
    file.write_bytes(ORU)
    told = said("explain", str(file))
    assert "OBX-3" in told
    assert "2823-3" in told
    for value in ("Zqlast", "MRN77", "6.9"):
        assert value not in told
    assert "Zqlast" in said("explain", str(file), "--reveal")
    file.write_bytes(b"\x00nothing")
    assert "not an HL7 message" in said("explain", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        said("explain", str(tmp_path))


def test_a_replay_nobody_begins_with_is_told_and_stays_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labs, "PATIENCE_S", 0.0)
    monkeypatch.setattr(labs, "LOOK_AGAIN_S", 0.01)
    waiting()
    with pytest.raises(CommandError, match="No worker has begun"):
        said("replay", "--state", "worklist", "--dry-run")
    assert LabReplay.objects.get().status == "pending"
    with pytest.raises(CommandError, match="no messages"):
        said("replay", "--state", "filed")
