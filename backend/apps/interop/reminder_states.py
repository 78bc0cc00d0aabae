"""Says how a reminder stands in the words of the front desk; without it a page would show two columns of codes."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.work import WorkState
from backend.apps.interop import failure_words
from backend.apps.messaging.models import Channel, MessageStatus, OutgoingMessage

CHANNELS = {Channel.SMS: "text", Channel.EMAIL: "e-mail", Channel.PUSH: "push"}
FAILED = (MessageStatus.FAILED, MessageStatus.BOUNCED)
SETTLED = {
    MessageStatus.SENT: ("sent", ""),
    MessageStatus.DELIVERED: ("delivered", "good"),
    MessageStatus.FAILED: ("failed", "bad"),
    MessageStatus.BOUNCED: ("came back", "bad"),
    MessageStatus.SUPPRESSED: ("not sent", ""),
    MessageStatus.SUPERSEDED: ("taken back", ""),
}


@dataclass(frozen=True, slots=True)
class State:
    """A word and the class of its tag; why: a sentence, empty where the word says all."""

    word: str
    tone: str = ""
    why: str = ""


def state_of(row: OutgoingMessage) -> State:
    """Return how far a message is and what came of it."""
    if row.uncertain_since or row.work_state == WorkState.HELD:
        return State("nobody knows", "bad", failure_words.SORTS["unknown"])
    if row.status != MessageStatus.PENDING:
        return State(*SETTLED[MessageStatus(row.status)], _why(row))
    if row.work_state == WorkState.RUNNING:
        return State("being sent", "wait")
    if row.attempts and row.last_error:
        return State("tried again", "wait", f"Not sent yet: {row.last_error}")
    return State("in line" if row.due_at <= timezone.now() else "planned", "wait")


def _why(row: OutgoingMessage) -> str:
    if row.status in FAILED:
        return failure_words.sentence(row.error_code or row.status_reason or row.last_error)
    return row.status_reason if row.status in (MessageStatus.SUPPRESSED, MessageStatus.SUPERSEDED) else ""


def before(minutes: int) -> str:
    """Return how long before the visit, as "7 days" or "2 hours"."""
    count, unit = (minutes // 1440, "day") if minutes % 1440 == 0 and minutes > 1440 else (minutes // 60, "hour")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


@dataclass(frozen=True, slots=True)
class Chip:
    """One reminder of a visit as a page shows it."""

    row: AppointmentReminder
    state: State

    @classmethod
    def of(cls, row: AppointmentReminder) -> Chip:
        return cls(row, state_of(row))

    @property
    def channel(self) -> str:
        return CHANNELS[Channel(self.row.reminder_type)]

    @property
    def before(self) -> str:
        return before(self.row.offset_minutes)

    @property
    def can_mute(self) -> bool:
        """Whether nobody has begun to send it."""
        row = self.row
        leased = row.work_state == WorkState.RUNNING and row.begun_at is None
        return row.status == MessageStatus.PENDING and (leased or row.work_state == WorkState.WAITING)

    @property
    def can_send(self) -> bool:
        """Whether it waits, or was given up before anybody took it."""
        row, lost = self.row, self.row.work_state == WorkState.FAILED
        return self.can_mute or (row.status == MessageStatus.FAILED and lost and not row.uncertain_since)
