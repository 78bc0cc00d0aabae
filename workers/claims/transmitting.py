"""Sends files to partners, the oldest first, one worker for each partner; without it nothing built would ever leave."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.db.models import Case, F, Value, When
from django.db.models.functions import Least, Now

from backend.apps.core import alerts, dispatch
from backend.apps.core.work import WorkState
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import Interchange, TradingPartner
from integrations.errors import IntegrationError, Misconfigured, Permanent
from workers import gateways
from workers.celery_app import app
from workers.claims import partners
from workers.claims.handing_over import ForAPerson, LeaseLost, hand_over
from workers.claims.one_at_a_time import alone_with
from workers.runner import BUDGET_S, LEASE_LOST, attempt, later, told, told_of, wait

BATCH = 50
MOST_COUNTED = 6  # attempts: the wait does not grow beyond half an hour, and no file is given up for a silent partner
TELL_AFTER = 4  # attempts, some minutes: then a person hears of it
FAILURES = 2  # in a row, after which the other files wait too: it is not the file


@app.task(name="claims.transmit")  # type: ignore[untyped-decorator]  # Celery has no types
def transmit_due() -> str:
    """Send what is due; safe to run twice, also at once."""
    counts, until = Counter[str](), time.monotonic() + BUDGET_S
    for key in _partners():
        with alone_with(key, "transmit") as ours:
            if ours:
                counts.update(Sender(key, until).run())
    if counts["released"]:
        dispatch.send(Interchange.task_name)
    return told(counts)


def _partners() -> list[UUID]:
    due = Interchange.work.overdue().values("partner_id")
    rows = TradingPartner.objects.filter(pk__in=due, is_active=True, paused_at=None)
    return list(rows.order_by("pk").values_list("pk", flat=True))


class Sender:
    """The one that sends to a partner, for as long as it holds the lock."""

    def __init__(self, partner_id: UUID, until_s: float) -> None:
        self.partner = TradingPartner.objects.get(pk=partner_id)
        self.until_s = until_s
        self.failures = 0
        self.counts = Counter[str]()

    def run(self) -> Counter[str]:
        only = f"partner_id = '{self.partner.pk}'"
        items = cast("list[Interchange]", Interchange.work.lease(BATCH, only=only))
        items.sort(key=lambda item: item.interchange_number)
        door, error = attempt(gateways.clearinghouse, self.partner)
        if error is not None:
            self._wait(items, error)
            return self.counts
        with door:
            for place, item in enumerate(items):
                if self.failures >= FAILURES:
                    break
                self._send(item, door, items[place + 1 :])
        return self.counts

    def _send(self, item: Interchange, door: Any, rest: Sequence[Interchange]) -> None:
        if time.monotonic() > self.until_s:
            self.counts["released"] += item.release()
            return
        _, error = attempt(hand_over, item, self.partner, door)
        if error is None:
            self.failures = 0
            partners.works(self.partner)
            self.counts["sent"] += 1
        elif isinstance(error, LeaseLost):
            self.counts[LEASE_LOST] += 1
        elif isinstance(error, Permanent | ForAPerson):
            self._hold(item, error)
        elif isinstance(error, IntegrationError):
            self.failures += FAILURES if isinstance(error, Misconfigured) else 1
            self._wait([item, *(rest if self.failures >= FAILURES else ())], error)
        else:
            self.counts[later(item, told_of(error, item), wait(item.attempts))] += 1

    def _wait(self, items: Sequence[Interchange], error: Exception) -> None:
        """Let files wait for a partner that is not reached: the first was tried, the others as if they were not."""
        tried = items[0]
        after = wait(min(tried.attempts, MOST_COUNTED), error)
        for lease_no in {item.lease_no for item in items}:
            mine = [item.pk for item in items if item.lease_no == lease_no]
            rows = Interchange.work.filter(pk__in=mine, lease_no=lease_no, work_state=WorkState.RUNNING)
            self.counts["waiting"] += rows.update(
                work_state=WorkState.WAITING,
                attempts=Case(
                    When(pk=tried.pk, then=Least(F("attempts"), Value(MOST_COUNTED))), default=F("attempts") - 1
                ),
                due_at=Now() + after,
                begun_at=None,
                leased_until=None,
                last_error=str(error)[:300],
                updated_at=Now(),
            )
        if isinstance(error, IntegrationError):
            partners.in_trouble(self.partner, error, tell=tried.attempts >= TELL_AFTER)

    def _hold(self, item: Interchange, error: Exception) -> None:
        """Let a person decide about a file."""
        self.counts["held" if item.hold(str(error)) else LEASE_LOST] += 1
        alerts.open_once(
            interchanges.alert_cause(item.pk),
            kind="claims_file",
            sentence=f"{self.partner.name}: file {item.file_name} waits for a person. {error}"[:300],
            severity="critical",
            subject=item,
        )
