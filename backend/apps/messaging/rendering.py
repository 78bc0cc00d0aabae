"""Makes subject, text and HTML of one template and one set of facts; without it each sender would write its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from backend.apps.messaging import dates, mail_html, shipped
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import Channel
from backend.apps.messaging.plain_letters import plain
from backend.apps.messaging.template_syntax import Filled, Unwritable, fill, parse, variables

VARIABLES = {
    "clinic": "the name patients are told",
    "phone": "the clinic's phone",
    "when": "day and time of the visit by the clinic's clock, with its zone",
    "date": "the day of the visit",
    "time": "the time of the visit, with its zone",
    "visits": "all visits of a family",
    "expires": "until when an offer is kept",
    "link": "the patient's own page",
    "email": "the clinic's mailbox, where the clinic has no phone",
}


class Words(NamedTuple):
    """What is sent; subject and html are empty for a text message. language: the one it is written in."""

    subject: str
    text: str
    html: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Source:
    """A template, the clinic's own (row is its key) or the shipped one (row is None)."""

    kind: str
    channel: str
    language: str
    subject: str
    body: str
    row: Any = None


def write(source: Source, facts: Facts) -> Words:
    """Return the finished words.

    Raises:
        Unwritable: the template cannot be read, or needs what `facts` does not hold.
    """
    pieces = parse(source.body)
    if source.channel == Channel.SMS:
        values = values_of(source, facts, variables(pieces))
        return Words("", clean(_joined(fill(pieces, values))), "", source.language)
    title = parse(source.subject)
    values = values_of(source, facts, variables((*title, *pieces)))
    subject = clean(_joined(fill(title, values)))
    if not subject:
        raise Unwritable("An e-mail needs a subject.")
    body = fill(pieces, values)
    page = mail_html.Page(source.kind, source.language, subject, facts)
    return Words(subject, _mail_text(source, facts, body), mail_html.document(page, body), source.language)


def values_of(source: Source, facts: Facts, names: Iterable[str]) -> dict[str, str]:
    """Return the value of each of these variables, empty where there is none; to make them all would cost the most."""
    values = {name: VALUES[name](source, facts) for name in names if name in VALUES}
    return {name: plain(value) for name, value in values.items()} if source.channel == Channel.SMS else values


def clean(value: str) -> str:
    """Return a value on one line: nothing in it begins a new header or paragraph."""
    if value.isprintable():
        return " ".join(value.split())
    return " ".join("".join(" " if _breaks(letter) else letter for letter in value).split())


def _breaks(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp")


def _said(source: Source, facts: Facts, moment: datetime | None) -> str:
    """Return a moment; a mail says whose clock it is where the patient's shows another time."""
    if moment is None:
        return ""
    text = dates.full(moment, facts.zone, source.language)
    if source.channel == Channel.EMAIL and dates.clocks_differ(moment, facts.zone, facts.patient_zone):
        return f"{text} ({shipped.phrases(source.language).clinic_time})"
    return text


def _until(source: Source, facts: Facts) -> str:
    """Return when an offer ends; a text has no room for more than weekday and clock."""
    if facts.expires_at is None:
        return ""
    say = dates.short if source.channel == Channel.SMS else dates.full
    return say(facts.expires_at, facts.zone, source.language)


def _visits(source: Source, facts: Facts) -> str:
    visits = facts.visits or tuple(filter(None, [facts.starts_at]))
    if source.channel == Channel.SMS:
        return dates.several(visits, facts.zone, source.language)
    return "\n".join(f"- {_said(source, facts, moment)}" for moment in sorted(set(visits)))


def _date(source: Source, facts: Facts) -> str:
    return dates.day(facts.starts_at, facts.zone, source.language) if facts.starts_at else ""


def _time(source: Source, facts: Facts) -> str:
    return dates.time(facts.starts_at, facts.zone, source.language) if facts.starts_at else ""


def _joined(filled: Iterable[Filled]) -> str:
    return "".join(run.text for run in filled)


def _mail_text(source: Source, facts: Facts, body: Iterable[Filled]) -> str:
    """Return the plain text of a mail with its foot: who writes, and the way out."""
    text = re.sub(r"\n{3,}", "\n\n", _joined(body).replace("\r\n", "\n")).strip()
    foot = "\n".join(filter(None, [clean(facts.clinic), clean(facts.phone)]))
    way_out = f"{shipped.phrases(source.language).unsubscribe}\n{clean(facts.unsubscribe_link)}"
    return "\n\n".join([text, foot, *([way_out] if facts.unsubscribe_link else [])]) + "\n"


# How each of VARIABLES is made.
VALUES: Mapping[str, Callable[[Source, Facts], str]] = {
    "clinic": lambda _, facts: clean(facts.clinic),
    "phone": lambda _, facts: clean(facts.phone),
    "when": lambda source, facts: _said(source, facts, facts.starts_at),
    "date": _date,
    "time": _time,
    "visits": _visits,
    "expires": _until,
    "link": lambda _, facts: clean(facts.link),
    "email": lambda _, facts: clean(facts.email),
}
