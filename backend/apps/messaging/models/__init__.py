"""What the clinic says to patients and what comes back: messages, templates, provider events, replies, links, tasks."""

from backend.apps.messaging.models.events import EventOutcome, ProviderEvent
from backend.apps.messaging.models.links import LinkPurpose, PatientLink
from backend.apps.messaging.models.outgoing import RANK, Channel, MessageStatus, OutgoingMessage
from backend.apps.messaging.models.patient_messages import PatientMessage
from backend.apps.messaging.models.replies import InboundText
from backend.apps.messaging.models.rules import ContactRules
from backend.apps.messaging.models.senders import Sender
from backend.apps.messaging.models.tasks import StaffTask, TaskKind
from backend.apps.messaging.models.templates import EMAIL_ONLY, MessageKind, MessageTemplate

__all__ = [
    "EMAIL_ONLY", "RANK", "Channel", "ContactRules", "EventOutcome", "InboundText", "LinkPurpose", "MessageKind",
    "MessageStatus", "MessageTemplate", "OutgoingMessage", "PatientLink", "PatientMessage", "ProviderEvent", "Sender",
    "StaffTask", "TaskKind",
]  # fmt: skip
