"""Sends files to partners, the oldest first, one worker for each partner; without it nothing built would ever leave."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Now

from backend.apps.core import alerts, dispatch
from backend.apps.core.work import WorkState
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import Interchange, TradingPartner
from backend.apps.insurance.models.partners import Transport
from backend.apps.insurance.models.submissions import InterchangeStatus
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient
from workers import following, gateways
from workers.celery_app import app
from workers.claims import partners
from workers.claims.handing_over import AWAY, ForAPerson, LeaseLost, hand_over
from workers.claims.one_at_a_time import Turn, alone_with
from workers.runner import BUDGET_S, LEASE_LOST, HandlerBug, attempt, later, told, told_of, wait
from workers.tallying import Tally

BATCH = 50
MOST_COUNTED = 6  # attempts: the wait does not grow beyond half an hour, and no file is given up for a silent partner
TELL_AFTER = 4  # attempts, some minutes: then a person hears of it
FAILURES = 2  # in a row, after which the other files wait too: it is not the file
STAGED = InterchangeStatus.STAGED
ON_ITS_WAY = (WorkState.WAITING, WorkState.RUNNING)  # the latter with a worker that died
ELSEWHERE = ":elsewhere"  # how a code ends that is about one file: where it was put stands something else


@app.task(name="claims.transmit")  # type: ignore[untyped-decorator]  # Celery has no types
def transmit_due() -> str:
    """Send what is due; safe to run twice, also at once.

    Raises:
        HandlerBug: after the last partner; what went wrong at one of them holds up no other.
    """
    counts, bugs, until = Counter[str](), list[str](), time.monotonic() + BUDGET_S
    for key in _partners():
        done, error = attempt(_send_to, key, until)
        counts.update(done[0] if done else ())
        bugs += done[1] if done else [partners.failed(key, partners.SENDING, cast("Exception", error))]
    if counts["released"]:
        dispatch.send(Interchange.task_name)
    if bugs:
        raise HandlerBug(f"{bugs[-1]} in {Interchange.task_name}")
    return told(counts)


def _partners() -> list[UUID]:
    """Return who has files due, in no order: whoever is slow or fails is not always the first."""
    due = Interchange.work.overdue().values("partner_id")
    keys = list(_open().filter(pk__in=due).values_list("pk", flat=True))
    random.shuffle(keys)
    return keys


def _open() -> QuerySet[TradingPartner]:
    return TradingPartner.objects.filter(is_active=True, paused_at=None)


def _send_to(key: UUID, until_s: float) -> tuple[Counter[str], list[str]]:
    with alone_with(key, "transmit") as turn:
        if not turn:
            return Counter[str](), []
        sender = Sender(key, turn, until_s)
        counts, bugs = sender.run()
        sender.tally.note(counts)
        return counts, bugs


def _is_elsewhere(error: Exception | None) -> bool:
    return isinstance(error, IntegrationError) and error.code.endswith(ELSEWHERE)


class Sender:
    """The one that sends to a partner, for as long as it holds the lock."""

    def __init__(self, partner_id: UUID, turn: Turn, until_s: float) -> None:
        self.partner = TradingPartner.objects.get(pk=partner_id)
        self.turn, self.until_s = turn, until_s
        self.failures = 0
        self.counts, self.bugs = Counter[str](), list[str]()
        self.tally = Tally(Interchange.task_name)

    def run(self) -> tuple[Counter[str], list[str]]:
        """Send up to a batch of files; return counts by what became of them, and the names of our own faults."""
        only = f"partner_id = '{self.partner.pk}'"
        items = cast("list[Interchange]", Interchange.work.lease(BATCH, only=only))
        self.tally.leased(items)
        items.sort(key=lambda item: (item.status != STAGED, item.interchange_number))
        door, error = attempt(gateways.clearinghouse, self.partner)
        if error is not None:
            if not isinstance(error, IntegrationError):
                raise error
            if items:
                self.tally.failed(error)
                self._wait(items, error)
            return self.counts, self.bugs
        with door:
            self._send_all(items, door)
        return self.counts, self.bugs

    def _send_all(self, items: Sequence[Interchange], door: Any) -> None:
        """Send files, first those that were staged: where they no longer stand, the others may not be put either."""
        new = sum(1 for item in items if item.status == STAGED)
        for place, item in enumerate(items):
            if self.failures >= FAILURES:
                return
            if place == new and self._awaits_its_place(door):
                self._wait(items[place:], Transient("the place of another file is away", code=f"folder{ELSEWHERE}"))
                return
            with following.about(item):
                self._send(item, door, items[place + 1 :])

    def _awaits_its_place(self, door: Any) -> bool:
        """Whether a file waits for where it was put to come back: nothing else goes where something else stands."""
        if self.partner.transport == Transport.HTTPS:
            return False
        waits = Interchange.work.filter(partner=self.partner, status=STAGED, work_state__in=ON_ITS_WAY)
        asked = [attempt(door.state, *one)[1] for one in waits.values_list("file_name", "staged_where")]
        return any(_is_elsewhere(error) for error in asked)

    def _may_go_on(self) -> bool:
        """Look again before each file: somebody may have paused the partner, and the lock may be gone."""
        return time.monotonic() <= self.until_s and self.turn.holds() and _open().filter(pk=self.partner.pk).exists()

    def _send(self, item: Interchange, door: Any, rest: Sequence[Interchange]) -> None:
        if not self._may_go_on():
            self.counts["released"] += item.release()
            return
        _, error = attempt(hand_over, item, self.partner, door)
        following.tell("sent" if error is None else type(error).__name__)
        if isinstance(error, Exception) and not isinstance(error, LeaseLost | ForAPerson):
            self.tally.failed(error)
        if error is None:
            self.failures = 0
            partners.works(self.partner, partners.SENDING)
            self.counts["sent"] += 1
        elif isinstance(error, LeaseLost):
            self.counts[LEASE_LOST] += 1
        elif isinstance(error, Permanent | ForAPerson):
            self._hold(item, error)
        elif _is_elsewhere(error):
            self._await_its_place(item, error)
        elif isinstance(error, IntegrationError):
            self.failures += FAILURES if isinstance(error, Misconfigured) else 1
            self._wait([item, *(rest if self.failures >= FAILURES else ())], error)
        else:
            self._after_bug(item, error)

    def _await_its_place(self, item: Interchange, error: Exception) -> None:
        """Let a file wait for where it was put to come back, for some minutes: then a person decides."""
        if item.last_error != str(error):
            item.attempts = 1  # what else was in its way before does not shorten them
        if item.attempts < TELL_AFTER:
            self._wait([item], error)
        else:
            self._hold(item, ForAPerson(AWAY))

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
                    When(pk=tried.pk, then=Value(min(tried.attempts, MOST_COUNTED))), default=F("attempts") - 1
                ),
                due_at=Now() + after,
                begun_at=None,
                leased_until=None,
                last_error=str(error)[:300],
                updated_at=Now(),
            )
        if isinstance(error, IntegrationError):
            partners.in_trouble(self.partner, partners.SENDING, error, tell=tried.attempts >= TELL_AFTER)

    def _after_bug(self, item: Interchange, error: Exception) -> None:
        """Try a file again later at which we failed ourselves; after its last try a person hears of it."""
        name = told_of(error, item)
        self.bugs.append(name)
        outcome = later(item, name, wait(item.attempts))
        self.counts[outcome] += 1
        if outcome == "failed":
            self._tell(item, f"It failed {item.attempts} times by a fault of the program ({name}).")

    def _hold(self, item: Interchange, error: Exception) -> None:
        """Let a person decide about a file."""
        is_ours = item.hold(str(error))
        self.counts["held" if is_ours else LEASE_LOST] += 1
        if is_ours:
            self._tell(item, str(error))

    def _tell(self, item: Interchange, why: str) -> None:
        alerts.open_once(
            interchanges.alert_cause(item.pk),
            kind="claims_file",
            sentence=f"{self.partner.name}: file {item.file_name} waits for a person. {why}"[:300],
            severity="critical",
            subject=item,
        )
