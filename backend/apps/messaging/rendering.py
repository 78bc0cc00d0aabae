"""Makes subject, text and HTML of one template and one set of facts; without it each sender would write its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from backend.apps.messaging import dates, mail_html, shipped
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import Channel
from backend.apps.messaging.plain_letters import plain
from backend.apps.messaging.template_syntax import Filled, Unwritable, fill, parse

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
    values = values_of(source, facts)
    if source.channel == Channel.SMS:
        return Words("", clean(_joined(fill(parse(source.body), values))), "", source.language)
    subject = clean(_joined(fill(parse(source.subject), values)))
    if not subject:
        raise Unwritable("An e-mail needs a subject.")
    body = fill(parse(source.body), values)
    page = mail_html.Page(source.kind, source.language, subject, facts)
    return Words(subject, _mail_text(source, facts, body), mail_html.document(page, body), source.language)


def values_of(source: Source, facts: Facts) -> dict[str, str]:
    """Return the value of each variable, empty where there is none."""
    by_text, zone, language = source.channel == Channel.SMS, facts.zone, source.language
    visits = facts.visits or tuple(filter(None, [facts.starts_at]))
    said = {
        "when": _said(source, facts, facts.starts_at),
        "date": dates.day(facts.starts_at, zone, language) if facts.starts_at else "",
        "time": dates.time(facts.starts_at, zone, language) if facts.starts_at else "",
        "expires": _until(source, facts),
        "visits": dates.several(visits, zone, language) if by_text else _listed(source, facts, visits),
    }
    told = {"clinic": clean(facts.clinic), "phone": clean(facts.phone), "link": clean(facts.link)}
    told["email"] = clean(facts.email)
    values = {**said, **told}
    return {name: plain(value) for name, value in values.items()} if by_text else values


def clean(value: str) -> str:
    """Return a value on one line: nothing in it begins a new header or paragraph."""
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


def _listed(source: Source, facts: Facts, visits: Iterable[datetime]) -> str:
    return "\n".join(f"- {_said(source, facts, moment)}" for moment in sorted(set(visits)))


def _joined(filled: Iterable[Filled]) -> str:
    return "".join(run.text for run in filled)


def _mail_text(source: Source, facts: Facts, body: Iterable[Filled]) -> str:
    """Return the plain text of a mail with its foot: who writes, and the way out."""
    text = re.sub(r"\n{3,}", "\n\n", _joined(body).replace("\r\n", "\n")).strip()
    foot = "\n".join(filter(None, [clean(facts.clinic), clean(facts.phone)]))
    way_out = f"{shipped.phrases(source.language).unsubscribe}\n{clean(facts.unsubscribe_link)}"
    return "\n\n".join([text, foot, *([way_out] if facts.unsubscribe_link else [])]) + "\n"
