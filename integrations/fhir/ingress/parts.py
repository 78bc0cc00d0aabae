"""Reads the data types that several resources share: references, concepts, moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from integrations.fhir.ingress.element import Element

YEARS = range(1900, 2200)  # what lies outside is a slip, and the ends of the calendar cannot be told in every zone


@dataclass(frozen=True, slots=True)
class Concept:
    """A CodeableConcept: its codes as (system, code), and its own words."""

    codes: tuple[tuple[str, str], ...]
    text: str

    def code(self, system: str) -> str:
        return next((code for known, code in self.codes if known == system), "")

    def __bool__(self) -> bool:
        return bool(self.codes or self.text)


def concept(element: Element) -> Concept:
    """Read a concept; the display of a code says what the code says, so it is not kept."""
    return Concept(tuple(coded(coding) for coding in element.parts("coding")), element.text("text"))


def coded(coding: Element) -> tuple[str, str]:
    coding.take("display")
    return coding.text("system"), coding.text("code")


def target(element: Element, resource_type: str, base: str) -> str:
    """Return the id a reference points to, "" where there is none. Its display is the target's own to say."""
    element.take("display")
    element.only("type", resource_type)
    told = element.text("reference")
    named, _, fhir_id = told.removeprefix(f"{base}/").partition("/")
    if told and (named != resource_type or "/" in fhir_id or not fhir_id):
        element.refuse(f"Point to a {resource_type} of this server, as {resource_type}/[id].", "reference")
        return ""
    return fhir_id if told else ""


def moment(element: Element, name: str) -> datetime | None:
    """Return an instant in UTC, or a dateTime that is one: a day alone is no moment."""
    told = element.text(name)
    if not told:
        return None
    try:
        at = datetime.fromisoformat(told)
        if at.tzinfo is not None and (moment := at.astimezone(UTC)).year in YEARS:
            return moment
    except (ValueError, OverflowError):
        pass
    element.refuse("Say the moment, with time and zone, between 1900 and 2199.", name, code="value")
    return None


def day(element: Element, name: str) -> date | None:
    """Return a whole date; a year or a month alone is none."""
    told = element.text(name)
    try:
        return date.fromisoformat(told) if told else None
    except ValueError:
        element.refuse("Say the whole day, as 1980-05-17.", name, code="value")
        return None


def only_words(element: Element) -> str:
    """Return the words of a concept of which we keep no codes."""
    said = concept(element)
    if said.codes:
        element.refuse("We keep the words only; leave the codes out.", "coding", code="not-supported")
    return said.text


def only_codes(element: Element, system: str, *codes: str) -> None:
    """Take a concept that we do not keep because it has one of these codes and no words of its own."""
    said = concept(element)
    if said.text or any(known != system or code not in codes for known, code in said.codes):
        element.refuse("This is not what it is with us; leave it out.", code="not-supported")
