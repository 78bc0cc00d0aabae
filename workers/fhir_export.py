"""Carries out bulk exports: plans them, writes their pieces and ends them; without it a kick-off waits for ever."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from backend.apps.core import dispatch
from backend.apps.interop.fhir.exports import accounting, expiry
from backend.apps.interop.fhir.smart import assertions
from backend.apps.interop.models import ExportJob
from integrations import egress
from integrations.errors import Misconfigured, Transient
from workers.beats import beating
from workers.celery_app import app
from workers.fhir import files, finishing
from workers.fhir.hands import SOON, SOON_S, Hands
from workers.fhir.snapshots import LeaseLost
from workers.runner import NotNeeded, drain

BUDGET_S = 190.0  # of the task that leads an export, its plan too, and holds its state meanwhile; the limit is 240
HAND_OVER_S = 20.0  # that it stays after that for another process to join
HAND_S = 30.0  # of one that lends a hand: then the other queues have their turn


@app.task(name="fhir_export.run")  # type: ignore[untyped-decorator]  # Celery has no types
def run_due() -> str:
    return drain(ExportJob, run, batch=1)


@app.task(name="fhir_export.write")  # type: ignore[untyped-decorator]  # Celery has no types
def write_due() -> str:
    """Write pieces while there are some; each is leased and written down by itself, so a second run does the rest."""
    with Hands() as hands:
        hands.work(time.monotonic() + HAND_S)
    if hands.bug is not None:
        raise hands.bug
    return f"{hands.written} written"


@app.task(name="fhir_export.expire")  # type: ignore[untyped-decorator]  # Celery has no types
def expire() -> str:
    """Remove files and used sign-ins that are past their time; safe to run twice, for what is gone stays gone."""
    with beating("expire exports"):
        accounting.account_ended()
        files.sweep_parts()
        gone, forgotten = expiry.expire_due(), assertions.forget_expired()
    return f"{gone} files removed, {forgotten} sign-ins forgotten"


def run(job: ExportJob) -> Mapping[str, Any] | None:
    """Plan an export, write pieces of it beside others, and end it when all are written.

    Safe to run twice and to be killed: the plan is one transaction, each piece another, the end a third, all under
    their leases; what is there is gone on with.

    Raises:
        NotNeeded: it was stopped.
    """
    if finishing.stopped(job):
        raise NotNeeded("the export was stopped")
    until = time.monotonic() + BUDGET_S
    try:
        with Hands() as hands:
            if not (job.planned_at and finishing.is_written(job)):
                hands.lead(job)
                hands.work(until)
            return _ended(job, hands, until + HAND_OVER_S)
    except LeaseLost:
        return {}  # which the fence refuses
    except egress.Forbidden as forbidden:
        raise Misconfigured(str(forbidden), code="exports:egress") from None
    except expiry.TROUBLE as trouble:
        raise Transient("the files cannot be written", code=type(trouble).__name__, retry_after_s=SOON_S) from None


def _ended(job: ExportJob, hands: Hands, until: float) -> Mapping[str, Any] | None:
    if sentence := finishing.failure_of(job):
        finishing.fail(job, sentence)
    elif not finishing.is_written(job):
        _passed_on(job, hands, until)
    elif not finishing.complete(job):
        return {}
    return None


def _passed_on(job: ExportJob, hands: Hands, until: float) -> None:
    """Let another process lead: at once where a piece is left that it could write, and we stay until it has joined."""
    if not hands.is_awaited():
        job.release(after=SOON)
    elif job.release():
        dispatch.send(ExportJob.task_name)
        hands.hand_over(until)
