"""Sends messages to patients that are due: decides late, counts texts, notes what leaves, and acts on how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.db import transaction

from backend.apps.appointments.reminders import TOO_LATE
from backend.apps.core import dispatch
from backend.apps.core.work import note_all, release_all
from backend.apps.messaging import consequences, digests, fallbacks, links, outgoing, senders
from backend.apps.messaging.models import Channel, OutgoingMessage
from backend.apps.messaging.senders import Bucket
from backend.apps.patients import consents, contacts
from integrations.email import Email
from integrations.errors import BadAddress, Blocked, IntegrationError, Misconfigured, OptedOut
from integrations.sms import Sms
from workers import gateways, sending_hours, sending_lanes
from workers.composing import House, Letter, entries_of, facts_of, late, letter
from workers.runner import Again, NotNeeded, attempt
from workers.senders import Wire, is_ours, learn
from workers.sending_texts import Texts, WhyNot
from workers.side_by_side import Call, End, LeaseLost, drain_side_by_side, end_badly, settled

LIMIT = 500  # rows of one channel that one worker leases at a time
NO_ADDRESS = ("sms:to", "email:to")  # codes of addresses that no provider would take
Status = OutgoingMessage.Status
Note = tuple[Any, dict[str, Any]]

# A report of the provider may be here before our own outcome: what it said stays.
RISEN = (
    "status = CASE WHEN status = 'pending' THEN 'sent' ELSE status END, sent_at = COALESCE(sent_at, now()), "
    "uncertain_since = NULL"
)


def send_due(model: type[OutgoingMessage], related: Sequence[str], why_not: WhyNot) -> str:
    """Send what is due of one kind of message, as fast as its senders may. Return counts by outcome.

    related: relations to read along. why_not: returns why a message, read again, must not leave now.
    """
    sending = Sending(model, related, why_not)
    return drain_side_by_side(
        model,
        sending.prepare,
        limit=LIMIT,
        threads=settings.SEND_THREADS,
        lease=sending.lease,
        settle=sending.settle,
    )


class Sending:
    """One run. Running twice is safe: nothing is spoken for before it is noted that we begin, and a row whose worker
    died after that is held until it is known what became of it (`replay_safe` is False).
    """

    def __init__(self, model: type[OutgoingMessage], related: Sequence[str], why_not: WhyNot) -> None:
        self._model, self._related, self._why_not = model, tuple(related), why_not
        self._buckets: dict[str, Bucket] = {one: gateways.sender(one) for one in (Channel.SMS, Channel.EMAIL)}
        self._wires = {channel: Wire() for channel in self._buckets}
        self._probes: dict[str, Any] = {}  # by channel, the key of the one message that may be sent
        self._told_with: dict[Any, list[Any]] = {}  # by the key of a leader, who its text tells of too
        self._house: House | None = None

    @property
    def house(self) -> House:
        self._house = self._house or House.load()
        return self._house

    def lease(self, limit: int) -> list[Any]:
        """Take what each sender may send now, and what no provider is there for."""
        column, rows = self._model.channel_column, []
        for channel, bucket in self._buckets.items():
            if self._wires[channel].is_closed:
                continue
            tokens, is_probe = senders.take(bucket, limit)
            if not tokens:
                continue
            # One is sent as a probe: those before it that nobody needs any more must not use it up.
            found = sending_lanes.lease(self._model, channel, limit if is_probe else tokens, limit=limit)
            if is_probe:
                self._probes[channel], failed = None, senders.last_probe(bucket)
                found.sort(key=lambda row: row.pk == failed)  # the one that failed goes only when there is no other
            else:
                self._probes.pop(channel, None)
                senders.charge(bucket, len(found) - tokens)
            rows += found
        known = ", ".join(f"'{channel}'" for channel in self._buckets)
        return rows + self._model.work.lease(limit, only=f"{column} NOT IN ({known})")

    def prepare(self, rows: Sequence[Any]) -> list[Call | Exception | None]:
        """Read everything again in a few queries, decide late, and note what leaves; all of it or nothing."""
        if all(wire.is_closed for wire in self._wires.values()):
            return [Again()] * len(rows)
        for row in rows:
            self._told_with.pop(row.pk, None)  # of a preparation that came to nothing
        with transaction.atomic():
            outcomes, told_with = self._decide(rows)
        self._told_with |= told_with
        self._pay(rows, outcomes)
        ends = [(row, outcomes.get(row.pk)) for row in rows]
        return [self._call(one) if isinstance(one, Letter) else one for row, one in ends]

    def _decide(self, rows: Sequence[Any]) -> tuple[dict[Any, Letter | Exception], dict[Any, list[Any]]]:
        """Return how each row goes on, and by leader who else ends as it does: those are not among the first."""
        fresh, outcomes = self._fresh(rows), dict[Any, Letter | Exception]()
        for row in rows:
            if row.pk not in fresh:
                outcomes[row.pk] = not_wanted("The message was deleted.")
        points, too_late = contacts.points_of([row.patient for row in fresh.values()]), late(list(fresh.values()))
        moved = list[tuple[Any, datetime]]()
        for row in fresh.values():
            if row.channel in self._wires and self._wires[row.channel].is_closed:
                outcomes[row.pk] = Again()
            elif reason := too_late.get(row.pk) or self._why_not(row, points):
                outcomes[row.pk] = not_wanted(reason)
                late_text = row.channel == Channel.SMS and reason == TOO_LATE  # a mail may still help, also at night
                if late_text or contacts.why_unreachable(row.patient, row.channel, points) == reason:
                    fallbacks.fall_back(row, reason=reason, call=False)
            elif wait := sending_hours.hold_back(row, self.house):
                if isinstance(wait, datetime):
                    moved.append((row, wait))
                    continue
                outcomes[row.pk] = not_wanted(wait)
                sending_hours.say_otherwise(row)
            elif self._waits_for_probe(row):
                outcomes[row.pk] = Again()
        outcomes |= sending_hours.move(moved)
        made, told_with = self._compose([row for row in fresh.values() if row.pk not in outcomes])
        return outcomes | made, told_with

    def _waits_for_probe(self, row: Any) -> bool:
        """Whether another message is the one that finds out whether the provider works again."""
        if row.channel not in self._probes:
            return False
        self._probes[row.channel] = self._probes[row.channel] or row.pk
        return bool(self._probes[row.channel] != row.pk)

    def _fresh(self, rows: Sequence[Any]) -> dict[Any, Any]:
        """Return by key the rows as they are now, in order, under the lease we hold, with what they are about."""
        found: dict[Any, Any] = self._model.objects.select_related(*self._related).in_bulk(keys(rows))
        fresh = {row.pk: found[row.pk] for row in rows if row.pk in found}
        for row in rows:
            if row.pk in fresh:
                fresh[row.pk].lease_no = row.lease_no
        return fresh

    def _compose(self, wanted: Sequence[Any]) -> tuple[dict[Any, Letter | Exception], dict[Any, list[Any]]]:
        """Write the messages, count texts, and note what is about to leave; see `_decide`."""
        texts = Texts(wanted, self.house, self._why_not, self._related)
        outcomes, told_with = dict[Any, Letter | Exception](), dict[Any, list[Any]]()
        facts, entries, notes = facts_of(wanted, self.house), entries_of(wanted), list[Note]()
        for row in wanted:
            if reason := texts.too_many.get(row.pk):
                outcomes[row.pk] = not_wanted(reason)
                fallbacks.fall_back(row, reason=reason, call=False)
            elif row.pk not in texts.led:
                also = texts.told_with.get(row.pk, [])
                until, entry = sending_hours.latest(row, self.house), entries.get(row.pk)
                made, refusal = attempt(partial(letter, row, facts[row.pk], self.house, also, until=until, entry=entry))
                outcomes[row.pk] = made or cast("Exception", refusal)
                notes += _notes(row, made, also) if made else ()
                told_with[row.pk] = also if made else [one for one in also if one.pk in facts]
        digests.take(row for row, note in notes if note["digest_of"] and row.pk not in facts)
        self._note(notes, outcomes)
        return outcomes, told_with

    def _note(self, notes: Sequence[Note], outcomes: dict[Any, Letter | Exception]) -> None:
        """Put on disk what leaves and the links it holds; whoever lost the lease meanwhile is not spoken for."""
        ours = note_all(notes)
        for row, note in notes:
            if row.pk not in ours and not note["digest_of"]:
                outcomes[row.pk] = LeaseLost()
        links.keep(one for made in outcomes.values() if isinstance(made, Letter) for one in made.links)

    def _pay(self, rows: Sequence[Any], outcomes: Mapping[Any, Letter | Exception]) -> None:
        """Charge texts of several segments, and give back what was leased and does not leave."""
        owed = Counter[str]()
        for row in rows:
            made = outcomes.get(row.pk)
            owed[row.channel] += max(made.note["segments"], 1) - 1 if isinstance(made, Letter) else -1
        for channel, tokens in owed.items():
            if channel in self._buckets and channel not in self._probes:
                senders.charge(self._buckets[channel], tokens)

    def _call(self, made: Letter) -> Call:
        """Return what is left to do: it runs in a thread, with that thread's own connection to the provider."""
        return Call(lambda: self._wire_of(made).speak(lambda: _send(made.handed_over()), until=made.until))

    def _wire_of(self, made: Letter) -> Wire:
        return self._wires[Channel.SMS if isinstance(made.content, Sms) else Channel.EMAIL]

    def settle(self, ends: Sequence[End[Any]]) -> Counter[str]:
        """Write down how messages ended, with those their text told of too, and let their senders learn from it."""
        for channel, bucket in self._buckets.items():
            ends = self._judged(ends, channel, bucket)
            heard = [end for end in ends if _is_heard(end) and end.item.channel == channel]
            probe = self._probes.get(channel)
            self._learn(channel, [end.result for end in heard if end.item.pk != probe], is_probe=False)
            self._learn(channel, [end.result for end in heard if end.item.pk == probe], is_probe=True)
        texts = [list(self._all_of(end)) for end in ends]
        whole = [end for text in texts for end in text]
        counts = Counter({"released": release_all([end.item for end in whole if _is_untried(end)])})
        counts += settled([end for end in whole if isinstance(end.result, Mapping)], also=RISEN)
        for text in texts:
            counts += self._end_badly([end for end in text if not _is_untried(end)])
        return counts

    def _learn(self, channel: str, results: Sequence[object], *, is_probe: bool) -> None:
        if results and learn(self._buckets[channel], results, is_probe=is_probe):
            self._wires[channel].is_closed = True
        elif results and is_probe:
            dispatch.send(self._model.task_name)  # it works again: the others need not wait for the next beat

    def _judged(self, ends: Sequence[End[Any]], channel: str, bucket: Bucket) -> list[End[Any]]:
        """Return the ends; what is refused again and again while others are taken is no fault of our account."""
        refused = {
            end.item.pk: end.result
            for end in ends
            if end.spoke and end.item.channel == channel and isinstance(end.result, Misconfigured)
        }
        guilty = senders.refuse(bucket, list(refused), is_probe=self._probes.get(channel) in refused) if refused else ()
        return [
            replace(end, result=Blocked("others are taken, and this is refused", code=refused[end.item.pk].code))
            if end.item.pk in guilty
            else end
            for end in ends
        ]

    def _all_of(self, end: End[Any]) -> Iterator[End[Any]]:
        """Yield the end of a message, and the same for those its text told of."""
        yield end
        result = Again() if isinstance(end.result, LeaseLost) else end.result
        for item in self._told_with.pop(end.item.pk, ()):
            yield replace(end, item=item, result=result)

    def _end_badly(self, text: Sequence[End[Any]]) -> Counter[str]:
        """Write down the failure of all that one text tells of and, in the same transaction, what follows from it.

        One of them tried again alone would leave the others to whatever becomes of that.
        """
        failed, counts = [(end, end.result) for end in text if isinstance(end.result, Exception)], Counter[str]()
        if not failed:
            return counts
        with transaction.atomic():
            if isinstance(failed[0][1], (OptedOut, BadAddress)):
                consents.lock(outgoing.addresses_of([end.item.pk for end, _ in failed]))
            for end, error in failed:
                outcome = end_badly(end, error)
                counts[outcome] += 1
                if outcome == "failed":
                    follow(self._model.all_objects.select_related(*self._related).get(pk=end.item.pk), error)
        return counts


def not_wanted(reason: str) -> NotNeeded:
    return NotNeeded(reason, status=Status.SUPPRESSED, status_reason=reason[:200])


def keys(rows: Sequence[Any]) -> list[Any]:
    return [row.pk for row in rows]


def follow(row: Any, error: Exception) -> None:
    """Do what follows when a message has failed for good: tell of the address, and reach the patient otherwise."""
    code = error.code if isinstance(error, IntegrationError) else type(error).__name__
    consequences.mark(row, sort=getattr(error, "sort", ""), code=code)
    if code in NO_ADDRESS:
        fallbacks.ask_to_fix(row)
    type(row).all_objects.filter(pk=row.pk).update(error_code=code[:40], status_reason=row.last_error[:200])
    fallbacks.fall_back(row, reason=f"It could not be sent: {code}.")


def _send(content: Sms | Email) -> str:
    return gateways.sms().send(content) if isinstance(content, Sms) else gateways.email().send(content)


def _is_heard(end: End[Any]) -> bool:
    """Whether the provider answered, or should have."""
    return end.spoke and not isinstance(end.result, Again)


def _is_untried(end: End[Any]) -> bool:
    """Whether the row goes back in line as if nobody had taken it."""
    return isinstance(end.result, Again) or (end.spoke and is_ours(end.result))


def _notes(row: Any, made: Letter, also: Sequence[Any]) -> Iterator[Note]:
    """Yield what is written down of a message and of those it tells of, which cost nothing."""
    yield row, {**made.note, "digest_of": None}
    for one in also:
        yield one, {**made.note, "digest_of": row.pk, "segments": 0}
