"""Visits, their reminders and the table of when to remind."""

from backend.apps.appointments.models.policies import ReminderPolicy
from backend.apps.appointments.models.recalls import Recall, RecallRule, RecallStatus
from backend.apps.appointments.models.reminders import AppointmentReminder
from backend.apps.appointments.models.replans import ReplanRequest
from backend.apps.appointments.models.visits import (
    AWAITED,
    HOLDS_SLOT,
    LONGEST,
    RESCHEDULED,
    SHORTEST,
    Appointment,
    AppointmentStatus,
    AppointmentType,
    EndOfVisit,
    TimeRange,
)
from backend.apps.appointments.models.waitlist import (
    EntryStatus,
    FreedSlot,
    OfferStatus,
    SlotStatus,
    WaitlistEntry,
    WaitlistOffer,
)
from backend.apps.messaging.models import RANK
from backend.apps.messaging.models import Channel as ReminderType
from backend.apps.messaging.models import MessageStatus as ReminderStatus

__all__ = [
    "AWAITED", "HOLDS_SLOT", "LONGEST", "RANK", "RESCHEDULED", "SHORTEST", "Appointment", "AppointmentReminder",
    "AppointmentStatus", "AppointmentType", "EndOfVisit", "EntryStatus", "FreedSlot", "OfferStatus", "Recall",
    "RecallRule", "RecallStatus", "ReminderPolicy", "ReminderStatus", "ReminderType", "ReplanRequest", "SlotStatus",
    "TimeRange", "WaitlistEntry", "WaitlistOffer",
]  # fmt: skip
