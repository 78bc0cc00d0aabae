"""What a message may say and nothing else; without it a name or a reason could slip into a text on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that words are made of: no field tells who the patient is, whom they see or why.

    clinic: the name patients are told (`ContactRules.name_of`). zone: the clinic's own; every time is said by its
    clock. patient_zone: the patient's, where it is known. visits: of a digest, in any order. expires_at: of an offer.
    email: the clinic's mailbox, where there is neither a phone nor a link. An empty field means that the message has no
    such thing.
    """

    clinic: str
    zone: ZoneInfo
    phone: str = ""
    starts_at: datetime | None = None
    patient_zone: ZoneInfo | None = None
    link: str = ""
    unsubscribe_link: str = ""
    visits: tuple[datetime, ...] = ()
    expires_at: datetime | None = None
    email: str = ""
