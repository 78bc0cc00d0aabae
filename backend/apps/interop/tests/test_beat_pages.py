"""Proves that a late or failing entry of the beat is seen at once, and that it is rung for by hand, by name only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core import dispatch
from backend.apps.core.models import AuditLog, Heartbeat
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
PAGE = "/console/beat/"


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(dispatch, "send", lambda name: bool(names.append(name)) or True)
    return names


def entry(name: str, *, due_in_s: float = 60, **over: Any) -> Heartbeat:
    now = timezone.now()
    fields = {"task": "claims.build", "last_run_at": now, "due_by": now + timedelta(seconds=due_in_s), **over}
    return Heartbeat.objects.create(entry=name, **fields)


def test_late_and_failing_entries_come_first_and_are_told_in_words() -> None:
    entry("a fine one", runs=7), entry("b failing one", failures=3, failed_at=timezone.now())
    entry("c late one", due_in_s=-5)
    text = " ".join(signed_in("admin").get(PAGE).content.decode().split())
    assert text.index("c late one") < text.index("b failing one") < text.index("a fine one")
    assert '<b>c late one</b> <span class="tag bad">late</span>' in text
    assert "failed 3 times in a row" in text
    assert "1 late" in text
    assert "7 runs" in text


def test_without_any_entry_the_page_says_that_no_worker_has_seen_the_schedule() -> None:
    assert b"No worker has seen the schedule yet." in signed_in("admin").get(PAGE).content


def test_an_entry_is_rung_for_by_hand_and_it_is_written_down(
    rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    entry("build claim files"), entry("unknown yet", task="")
    client = signed_in("admin")
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(f"{PAGE}run/", {"entry": "build claim files"}, follow=True)
        assert b"Rung for: build claim files." in answer.content
        refused = client.post(f"{PAGE}run/", {"entry": "unknown yet"}, follow=True)
        assert b"No worker has said yet" in refused.content
        assert client.post(f"{PAGE}run/", {"entry": "os.system"}).status_code == 404
    assert rung == ["claims.build"]
    assert AuditLog.objects.filter(action="console.run", resource_id="build claim files", outcome="allowed").exists()


def test_whoever_rings_is_told_when_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    entry("build claim files")
    monkeypatch.setattr(dispatch, "send", lambda _: False)
    answer = signed_in("admin").post(f"{PAGE}run/", {"entry": "build claim files"}, follow=True)
    assert b"The broker does not answer" in answer.content
    assert AuditLog.objects.filter(action="console.run", outcome="refused").exists()


def test_only_an_administrator_sees_and_rings() -> None:
    entry("build claim files")
    for role in ("lab_tech", "receptionist", "doctor"):
        assert signed_in(role).get(PAGE).status_code == 403
        assert signed_in(role).post(f"{PAGE}run/", {"entry": "build claim files"}).status_code == 403
    assert signed_in("admin").get(f"{PAGE}run/").status_code == 405
