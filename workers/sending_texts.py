"""Decides which texts leave as one and which are one too many; without it each message would count for itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.messaging import caps, digests
from backend.apps.messaging.models import Channel
from backend.apps.patients import contacts
from workers.composing import House

WhyNot = Callable[[Any, contacts.Points], str | None]


class Texts:
    """The texts among some messages that are about to leave, in one transaction; others for the same numbers wait.

    too_many: by key, why a message may not leave. told_with: by key of a leader, the reminders its text tells of as
    well. led: the keys of those.
    """

    def __init__(self, messages: Sequence[Any], house: House, why_not: WhyNot, related: Sequence[str]) -> None:
        self._house, self._why_not, self._related = house, why_not, related
        self._mine = [row.pk for row in messages]
        self.too_many: dict[Any, str] = {}
        self.told_with: dict[Any, list[Any]] = {}
        self.led: set[Any] = set()
        texts = [row for row in messages if row.channel == Channel.SMS]
        if not texts:
            return
        caps.lock(row.patient.phone for row in texts)
        leaders = self._lead(texts)
        self._count(leaders)
        self._join([row for row in leaders if row.pk not in self.too_many])
        self.led = {row.pk for rows in self.told_with.values() for row in rows}

    def _lead(self, texts: Sequence[Any]) -> list[Any]:
        """Return those that speak for themselves; all reminders to one number are told by its first."""
        leaders, by_number = list[Any](), dict[str, Any]()
        for row in sorted(texts, key=lambda row: (row.lane, row.due_at, str(row.pk))):
            leader = by_number.get(row.patient.phone)
            if leader is not None and isinstance(row, AppointmentReminder):
                self.told_with[leader.pk].append(row)
                continue
            leaders.append(row)
            if isinstance(row, AppointmentReminder):
                by_number[row.patient.phone], self.told_with[row.pk] = row, []
        return leaders

    def _count(self, leaders: Sequence[Any]) -> None:
        now, zones = timezone.now(), {row.pk: self._house.zone_of(row.patient) for row in leaders}
        since = min(caps.begin_of_week(now, zone) for zone in zones.values())
        earlier = defaultdict(list, caps.texts_to({row.patient.phone for row in leaders}, since=since, but=self._mine))
        for row in leaders:
            if row.wording in caps.UNCOUNTED:
                continue
            number = row.patient.phone
            reason = caps.why_not(earlier[number], now=now, zone=zones[row.pk], rules=self._house.rules)
            if reason is None:
                earlier[number].append(now)
                continue
            for one in (row, *self.told_with.pop(row.pk, ())):
                self.too_many[one.pk] = reason

    def _join(self, leaders: Sequence[Any]) -> None:
        """Add what waits for the same numbers and would leave today."""
        first = {row.patient.phone: row for row in leaders if isinstance(row, AppointmentReminder)}
        now = timezone.now()
        until: dict[str, datetime] = {
            number: caps.begin_of_day(now, self._house.zone_of(row.patient), days=1) for number, row in first.items()
        }
        found = digests.waiting_for(AppointmentReminder, until, but=self._mine, with_=self._related)
        points = contacts.points_of([row.patient for row in found])
        for row in found:
            leader = first[row.patient.phone]
            told = {one.appointment_id for one in (leader, *self.told_with[leader.pk])}
            if row.appointment_id not in told and self._why_not(row, points) is None:
                self.told_with[leader.pk].append(row)
