"""The small words of one language that stand around a clinic's own text; without them half a mail would be English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.apps.messaging.models import MessageKind


@dataclass(frozen=True, slots=True)
class Phrases:
    """day: a format of `django.utils.dateformat`, empty for the language's own long date.

    moment holds {day} and {time}; several visits are joined by commas and `last`, or end with `more`: its {count} are
    those a text has no room for. buttons: what a link is called, by kind of message that has one. calendar: the name of
    an entry in the patient's calendar.
    """

    day: str
    moment: str
    last: str
    more: str
    clinic_time: str
    unsubscribe: str
    calendar: str
    buttons: Mapping[MessageKind, str]
