"""Judges a clinic's own text before it is kept; without it the first patient would find what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from backend.apps.messaging import phi, segments
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import EMAIL_ONLY, Channel
from backend.apps.messaging.models import MessageKind as Kind
from backend.apps.messaging.phi import Finding
from backend.apps.messaging.rendering import VARIABLES, Source, write
from backend.apps.messaging.template_syntax import Unwritable, parse, required, variables

MOST_SEGMENTS = 3
LONGEST_SUBJECT = 78  # characters of a line (RFC 5322, 2.1.1)
COMMON = {"clinic", "phone"}
VISIT = {"when", "date", "time", "link"}
KNOWN: Mapping[str, set[str]] = {  # what `workers.composing` gives
    Kind.REMINDER: COMMON | VISIT,
    Kind.ASK_TO_CONFIRM: COMMON | VISIT,
    Kind.SOON: COMMON | VISIT,
    Kind.DIGEST: COMMON | {"visits"},
    Kind.NO_SHOW: COMMON | VISIT - {"link"} | {"email"},
    Kind.RECALL: COMMON | {"email"},
    Kind.WAITLIST_OFFER: COMMON | VISIT | {"expires"},
    Kind.CHOOSE: COMMON | {"link"},
    Kind.CANCELLED: COMMON | VISIT - {"link"} | {"email"},
}
NEEDED: Mapping[str, tuple[set[str], ...]] = {  # one of each set, outside of [ ]
    Kind.REMINDER: ({"when", "date"}, {"when", "time"}),
    Kind.ASK_TO_CONFIRM: ({"when", "date"}, {"when", "time"}),
    Kind.SOON: ({"when", "time"},),
    Kind.DIGEST: ({"visits"},),
    Kind.NO_SHOW: (),
    Kind.RECALL: (),
    Kind.WAITLIST_OFFER: ({"when", "date"}, {"when", "time"}, {"link"}, {"expires"}),
    Kind.CHOOSE: ({"link"},),
    Kind.CANCELLED: ({"when", "date"}, {"when", "time"}),
}
IN_SUBJECT = {"clinic", "date"}
REACHED = {"phone", "link", "email"}
ABOUT_PATIENTS = re.compile(
    r"(?:first_|last_|full_|given_|family_|middle_)?name$|nombre|patient|paciente|birth|dob|mrn|ssn|doctor|provider"
    r"|reason|diagnos|location|address|(?:visit|appointment)_type"
)
OPT_OUT = re.compile(r"\bSTOP\b")
NO_WAY_OUT = re.compile(
    r"\b(?:not|don.?t|never|no) +(?:(?:ever|just|please|reply|text|send|answer|respond|type|use|say|write|with|back|us"
    r"|the|word|responda|conteste|envie|escriba|mande|use|diga|con|la|palabra)[ :\"']+)*[\"']?stop\b"
    r"|\bstop\b[\"']? +(?:(?:is|are|was|does|do|will|can)(?: not\b|n.?t\b)|can.t\b|won.t\b|cannot\b|no )"
)
OTHER_WAY_OUT = re.compile(
    r"(?:reply|text|send|answer|respond|type|responda|conteste|envie|escriba|mande)(?: with| con| back)?[ :\"']+"
    r"(?:cancel|end|quit|unsubscribe|stopall|revoke|optout|alto|parar)\b"
)
SHOUTED_WAY_OUT = re.compile(r"\b(?:CANCEL|END|QUIT|UNSUBSCRIBE|STOPALL|REVOKE|OPTOUT|ALTO|PARAR)\b")
URL = re.compile(r"https?://|www\.", re.IGNORECASE)
NEW_YORK = ZoneInfo("America/New_York")
Faults = dict[str, list[str]]


def longest(clinic: str) -> Facts:
    """Return facts that say as much as a message usually may: the length of a text is judged by them."""
    link = f"{settings.PUBLIC_BASE_URL}/a/{'x' * 22}"
    first, second = datetime(2026, 9, 30, 16, 30, tzinfo=UTC), datetime(2026, 11, 25, 17, 30, tzinfo=UTC)
    return Facts(
        clinic=clinic, zone=NEW_YORK, phone="+15185550100", starts_at=first, visits=(first, second),
        expires_at=datetime(2026, 9, 29, 16, 45, tzinfo=UTC), link=link, unsubscribe_link=link,
    )  # fmt: skip


def of_kind(kind: str, facts: Facts) -> Facts:
    """Return what of `facts` a message of this kind has."""
    known = KNOWN[kind]
    return replace(
        facts,
        starts_at=facts.starts_at if known & {"when", "date", "time"} else None,
        visits=facts.visits if "visits" in known else (),
        expires_at=facts.expires_at if "expires" in known else None,
        link=facts.link if "link" in known else "",
        email=facts.email if "email" in known else "",
    )


def faults(source: Source, facts: Facts) -> Faults:
    """Return why a text cannot be kept, by field; empty when it can. Reads nothing from the database."""
    found: Faults = {}
    if source.channel == Channel.SMS and source.kind in EMAIL_ONLY:
        return {"channel": ["This kind of message goes by e-mail only."]}
    for field, sentence in (*_of_subject(source), *_of_body(source), *_of_words(source)):
        found.setdefault(field, []).append(sentence)
    if not found:
        found = _of_result(source, facts)
    return found


def faults_on_file(source: Source) -> Faults:
    """Return the faults only our own files tell: names of our doctors and specialties."""
    texts = {"subject": source.subject, "body": source.body}
    told = {field: [_told(found) for found in phi.on_file(text)] for field, text in texts.items() if text}
    return {field: sentences for field, sentences in told.items() if sentences}


def warnings(source: Source, facts: Facts) -> list[str]:
    """Return what is allowed but should be known: a text without faults may cost more or not always be usable."""
    found: list[str] = []
    try:
        pieces = parse(source.body)
        if source.channel == Channel.SMS:
            found += _of_length(write(source, of_kind(source.kind, facts)).text)
    except Unwritable:
        return found
    if "phone" in required(pieces):
        found.append("Put the part with {phone} in [ ]: without a phone of the clinic this text is not used.")
    if not REACHED & variables(pieces) and (source.channel == Channel.SMS or "email" in KNOWN[source.kind]):
        ways = " or ".join(f"{{{name}}}" for name in sorted(REACHED & KNOWN[source.kind], reverse=True))
        found.append(f"A message should tell how to reach the clinic: {ways}.")
    if source.kind == Kind.ASK_TO_CONFIRM and "link" not in variables(pieces) and not re.search(r"\b1\b", source.body):
        found.append("Tell patients how to confirm: with the answer 1, or by {link}.")
    if URL.search(source.body):
        found.append("A link written out is the same for all; whoever runs that page learns who comes to it.")
    return found


def _of_length(text: str) -> list[str]:
    told = segments.count(text)
    if told.segments <= 1:
        return []
    costly = segments.not_gsm(text)
    why = f" Letters that make it long: {' '.join(costly[:10])}" if costly else ""
    return [f"This is sent, and paid, as {told.segments} messages.{why}"]


def _of_subject(source: Source) -> Iterator[tuple[str, str]]:
    subject = source.subject
    if source.channel == Channel.SMS:
        if subject:
            yield "subject", "A text message has no subject."
        return
    if not subject.strip():
        yield "subject", "An e-mail needs a subject."
    if len(subject) > LONGEST_SUBJECT:
        yield "subject", f"A subject has at most {LONGEST_SUBJECT} characters; this one has {len(subject)}."
    if len(subject.splitlines()) > 1 or subject != subject.strip("\r\n"):
        yield "subject", "A subject is one line."
    yield from (("subject", sentence) for sentence in _of_variables(subject, IN_SUBJECT & KNOWN[source.kind]))


def _of_body(source: Source) -> Iterator[tuple[str, str]]:
    yield from (("body", sentence) for sentence in _of_variables(source.body, KNOWN[source.kind]))
    try:
        said = required(parse(source.body))
    except Unwritable:
        return
    needed = [*NEEDED[source.kind], *([{"clinic"}] if source.channel == Channel.SMS else [])]
    for choice in needed:
        if not choice & said:
            names = " or ".join(f"{{{name}}}" for name in sorted(choice, reverse=True))
            yield "body", f"This kind of message needs {names}, outside of [ ]."
    if source.channel == Channel.SMS:
        yield from (("body", sentence) for sentence in _of_way_out(source.body))


def _of_variables(text: str, known: set[str]) -> Iterator[str]:
    try:
        used = variables(parse(text))
    except Unwritable as refusal:
        yield str(refusal)
        return
    for name in sorted(used - known):
        if ABOUT_PATIENTS.match(name):
            yield f"{{{name}}}: what tells who the patient is or whom they see does not go into messages."
        elif name in VARIABLES:
            yield f"{{{name}}} has no meaning here."
        else:
            yield f"There is no {{{name}}}. Known here: {', '.join(sorted(known))}."


def _of_way_out(body: str) -> Iterator[str]:
    said = ways_to_read(body)
    if not all(OPT_OUT.search(text) for text in said):
        yield "A text message tells the way out, outside of [ ]: Reply STOP to opt out."
    if any(NO_WAY_OUT.search(phi.folded(phi.shown_as_read(text))) for text in said):
        yield "Do not tell patients that STOP is no answer: it always is one."
    if any(SHOUTED_WAY_OUT.search(text) or OTHER_WAY_OUT.search(phi.folded(text)) for text in said):
        yield "Do not ask for an answer such as CANCEL, END or QUIT: it is taken for the wish to get no more texts."


def _of_words(source: Source) -> Iterator[tuple[str, str]]:
    for field, text in (("subject", source.subject), ("body", source.body)):
        found = dict.fromkeys(one for way in (text, *ways_to_read(text)) for one in phi.findings(way))
        yield from ((field, _told(one)) for one in found)


def ways_to_read(text: str) -> tuple[str, ...]:
    """Return a text with all that stands in [ ], and without any of it; only itself where it cannot be read."""
    try:
        pieces = parse(text)
    except Unwritable:
        return (text,)
    said = [(f"{{{piece.variable}}}" if piece.variable else piece.text, piece.group) for piece in pieces]
    return "".join(words for words, _ in said), "".join(words for words, group in said if not group)


def _told(found: Finding) -> str:
    return f'"{found.word[:60]}" cannot be sent: {found.why}.'


def _of_result(source: Source, facts: Facts) -> Faults:
    try:
        words = write(source, of_kind(source.kind, facts))
    except Unwritable as refusal:
        return {"body": [str(refusal)]}
    told = segments.count(words.text)
    if source.channel == Channel.SMS and told.segments > MOST_SEGMENTS:
        costly = " ".join(segments.not_gsm(words.text)[:10])
        because = f" Letters that make it long: {costly}" if costly else ""
        return {"body": [f"This would be {told.segments} messages; at most {MOST_SEGMENTS} are sent.{because}"]}
    return {}
