"""Holds that the beat removes what has expired and folds old tallies, harmlessly twice, late and broken off."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core import tallies, tally_folding
from backend.apps.core.models import Heartbeat, IdempotentRequest, WorkTally
from backend.apps.credentials.tests.factories import make_alert, make_notice
from backend.apps.interop.models import SmartAssertion
from backend.apps.interop.tests.fhir.export_rows import make_disclosure
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.interop.tests.test_retention import rule_of
from backend.apps.messaging.models import PatientLink
from backend.apps.messaging.tests.inbox_factories import make_patient_message, make_provider_event
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.models import LoginSession
from backend.apps.users.tests.factories import make_user
from tests.workers.test_reconciling import closed, in_line
from workers import retention

pytestmark = pytest.mark.django_db


def make_one_of_each(*, age: timedelta) -> None:
    """Save one of everything that expires, as if it had run out that long ago (a negative age: it has not yet)."""
    now, n = timezone.now(), LoginSession.objects.count()
    user = make_user("nurse")
    Session.objects.create(session_key=f"key-{n}", session_data="", expire_date=now - age)
    signed_in = LoginSession.objects.create(
        user=user, refresh_jti=f"{n:032d}", created_at=now - timedelta(hours=12) - age
    )
    assert signed_in.revoked_at is None
    SmartAssertion.objects.create(client=make_system().row, jti=f"{n:064d}", expires_at=now - age)
    PatientLink.objects.create(
        token_sha256=f"{n:064d}", purpose="answer", patient=make_patient(), channel="sms", message_id=user.pk,
        expires_at=now - age,
    )  # fmt: skip
    key = IdempotentRequest.objects.create(user=user, key=f"key-{n:08d}", fingerprint="x")
    IdempotentRequest.objects.filter(pk=key.pk).update(created_at=now - timedelta(hours=24) - age)


def test_what_has_expired_goes_once_and_what_has_not_stays() -> None:
    make_one_of_each(age=timedelta(minutes=1)), make_one_of_each(age=timedelta(days=40))
    make_one_of_each(age=-timedelta(minutes=5))
    kinds: list[Any] = [Session, LoginSession, SmartAssertion, PatientLink, IdempotentRequest]
    told = "web_sessions 2, run_out_sign_ins 2, smart_assertions 2, patient_links 2, idempotency_keys 2"
    assert [retention.expire_tokens() for _ in range(2)] == [told, "nothing to remove"]
    assert [kind.objects.count() for kind in kinds] == [1] * 5
    assert Heartbeat.objects.get(entry="tokens and links expired").runs == 2


def test_a_sign_in_that_was_closed_stays_as_long_as_its_rule_says() -> None:
    long_ago = timezone.now() - timedelta(days=40)
    closed = {"created_at": long_ago, "revoked_at": long_ago, "revoked_because": "logout"}
    LoginSession.objects.create(user=make_user("nurse"), refresh_jti="x" * 32, **closed)
    assert retention.expire_tokens() == "nothing to remove"
    assert retention.purge() == "nothing to remove"
    assert LoginSession.objects.count() == 1


@pytest.mark.usefixtures("rung")
@pytest.mark.parametrize(("name", "part"), [
    ("messages", "reminders"), ("provider_events", "reminders"), ("exports", "exports"),
    ("credential_notices", "credentials"),
])  # fmt: skip
def test_the_whole_books_agree_after_a_purge(name: str, part: str) -> None:
    old, young = (make_one_of(name) for _ in range(2))
    for row in old:
        past = {field: timezone.now() - timedelta(days=2300) for field in AGES if hasattr(row, field)}
        type(row)._base_manager.filter(pk=row.pk).update(**past)
    rule_of(name)
    assert retention.purge() == f"{name} {len(old)}"
    left = [type(row)._base_manager.filter(pk=row.pk).exists() for row in (*old, *young)]
    assert left == [False] * len(old) + [True] * len(young)
    run = closed(in_line(part, since=None))
    assert run.agree, run.books


AGES = ("created_at", "scheduled_send_time", "sent_at", "closed_at", "files_removed_at")


def make_one_of(name: str) -> list[Any]:
    """Save what goes of one class when it is old: every table of it that the books count."""
    if name == "messages":
        patient, failed = make_patient(), {"status": "failed", "work_state": "done", "status_reason": "x"}
        return [make_reminder(**failed), make_patient_message(patient, **failed)]
    if name == "provider_events":
        return [make_provider_event(work_state="done", outcome="unchanged")]
    if name == "exports":
        return [make_disclosure(make_patient()).job]
    alert = make_alert(closed_at=timezone.now(), closed_because="renewed")
    return [make_notice(alert=alert, status="not_needed", work_state="done"), alert]


def tally(at: datetime, count: int = 1, *, outcome: str = "done", task: str = "claims.build") -> None:
    WorkTally.objects.create(task=task, outcome=outcome, starts_at=at, count=count, seconds=0.5, waited_s=2)


def test_sums_of_thirds_of_a_second_do_not_fall_by_folding() -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    at = [today - timedelta(days=3 + n // 90, minutes=5 + 15 * (n % 90)) for n in range(450)]
    draw = random.Random(3)  # the same each time
    rows = [
        WorkTally(task=f"task {n % 40}", outcome="done", starts_at=one, count=1, seconds=draw.random() / 3,
                  waited_s=draw.random() * 100 / 3)
        for n in range(40) for one in at
    ]  # fmt: skip
    WorkTally.objects.bulk_create(rows)
    before = tallies.totals()
    assert retention.fold_tallies() != "folded 0"
    assert tallies.totals() == before


def sums() -> list[tuple[Any, ...]]:
    found = WorkTally.objects.values_list("task", "outcome").annotate(Sum("count"), Sum("seconds"), Sum("waited_s"))
    return sorted(found)


def test_old_tallies_are_folded_and_every_sum_stays() -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in (10, 9, 500, 501, 502):
        for minutes in (0, 5, 700):
            tally(today - timedelta(days=days, minutes=-minutes), days)
            tally(today - timedelta(days=days, minutes=-minutes), outcome="failed")
    tally(today - timedelta(days=9, minutes=-5), task="reminders.deliver")
    recent = [today - timedelta(hours=hours, minutes=5) for hours in (1, 20)]
    for at in recent:
        tally(at)
    before, totals = sums(), tallies.totals()
    first, again = retention.fold_tallies(), retention.fold_tallies()
    assert (sums(), tallies.totals()) == (before, totals)
    assert first != again == "folded 0"
    kept = set(WorkTally.objects.values_list("starts_at", flat=True))
    days = {today - timedelta(days=9), today - timedelta(days=10)}
    months = {(today - timedelta(days=days)).replace(day=1) for days in (500, 501, 502)}
    assert kept == days | months | set(recent)
    assert Heartbeat.objects.get(entry="fold tallies").runs == 2


def test_folding_that_breaks_off_leaves_sums_that_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in (5, 6):
        for minutes in (5, 10):
            tally(today - timedelta(days=days, minutes=-minutes))
    before, asked = sums(), list[str]()

    def dies(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        if asked.count(tally_folding.FOLD) == 2:
            raise KeyboardInterrupt
        return execute(sql, *rest)

    with pytest.raises(KeyboardInterrupt), connection.execute_wrapper(dies):
        tally_folding.fold()
    assert (sums(), WorkTally.objects.count()) == (before, 3)
    assert tally_folding.fold() == 2
    assert (sums(), WorkTally.objects.count()) == (before, 2)
