"""Reads a Patient as others write it; the fields have the names that our own shape of it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from integrations.fhir.ingress.element import Element, root, settled
from integrations.fhir.ingress.parts import coded, concept, day, moment
from integrations.fhir.resources.patient import ETHNICITIES, RACES, UNSAID
from integrations.fhir.terms import BCP_47, CDC_RACE, NULL_FLAVOR, SNOMED, US_CORE, V2

RECORD_NUMBER = "medical record number"
ANSWERS = {"373066001": True, "373067005": False}  # SNOMED CT: yes, no
PATHS = {
    "mrn": "Patient.identifier[0].value",
    "family": "Patient.name[0].family",
    "given": "Patient.name[0].given[0]",
    "middle": "Patient.name[0].given[1]",
    "suffix": "Patient.name[0].suffix[0]",
    "gender": "Patient.gender",
    "birth_date": "Patient.birthDate",
    "deceased": "Patient.deceasedDateTime",
    "phone": "Patient.telecom.where(system='phone').value",
    "email": "Patient.telecom.where(system='email').value",
    "line1": "Patient.address[0].line[0]",
    "line2": "Patient.address[0].line[1]",
    "city": "Patient.address[0].city",
    "state": "Patient.address[0].state",
    "postal_code": "Patient.address[0].postalCode",
    "country": "Patient.address[0].country",
    "contact_name": "Patient.contact[0].name.text",
    "contact_phone": "Patient.contact[0].telecom[0].value",
    "contact_relationship": "Patient.contact[0].relationship[0].text",
    "language": "Patient.communication[0].language",
    "races": "Patient.extension.where(url.endsWith('race'))",
    "ethnicity": "Patient.extension.where(url.endsWith('ethnicity'))",
    "birth_sex": "Patient.extension.where(url.endsWith('birthsex'))",
}


@dataclass(frozen=True, slots=True)
class PatientIn:
    """What a body says of a patient; "" and None where it says nothing."""

    mrn: str = ""
    family: str = ""
    given: str = ""
    middle: str = ""
    suffix: str = ""
    gender: str = ""
    birth_date: date | None = None
    deceased: datetime | None = None
    phone: str = ""
    email: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    contact_relationship: str = ""
    language: str = ""
    races: tuple[str, ...] = field(default=())
    ethnicity: str = ""
    birth_sex: str = ""
    needs_interpreter: bool | None = None


def read(resource: dict[str, Any], given: Mapping[str, str], held: dict[str, Any] | None = None) -> PatientIn:
    """Return what the body says. given: see `resource.GIVEN`. held: the patient as we would answer it now.

    Raises:
        Refused: it says something that we cannot keep.
    """
    body = root(resource)
    body.only("active", True)
    told = {
        "gender": body.text("gender"),
        "birth_date": day(body, "birthDate"),
        "deceased": _deceased(body),
        "mrn": _record_number(body, given["mrn_system"]),
        "language": _language(body.first("communication")),
        **_name(body.first("name")),
        **_telecom(body),
        **_address(body.first("address")),
        **_contact(body.first("contact")),
        **_extensions(body),
    }
    settled(body, held)
    return PatientIn(**told)


def _deceased(body: Element) -> datetime | None:
    body.only("deceasedBoolean", False)
    return moment(body, "deceasedDateTime")


def _record_number(body: Element, system: str) -> str:
    number = ""
    for identifier in body.parts("identifier"):
        if number or identifier.said.get("system") != system:
            identifier.refuse("We keep one identifier, our own record number.", code="not-supported")
            identifier.ignore()
            continue
        identifier.only("use", "usual")
        kind = concept(identifier.part("type"))
        if kind and (kind.codes != ((f"{V2}0203", "MR"),) or kind.text.casefold() not in {"", RECORD_NUMBER}):
            identifier.refuse("A record number is of the type MR and of no other.", "type")
        identifier.take("system")
        number = identifier.text("value")
    return number


def _name(name: Element) -> dict[str, str]:
    name.only("use", "official")
    family, given, suffixes = name.text("family"), name.texts("given", 2), name.texts("suffix", 1)
    words = [*given, family, *suffixes]
    whole = name.text("text")
    if whole and sorted(whole.replace(",", " ").split()) != sorted(" ".join(words).split()):
        name.refuse("The text of the name says other words than its parts.", "text")
    if not (family and given):
        name.refuse("A patient has a family name and a given name.", code="required")
    first, middle = [*given, "", ""][:2]
    return {"family": family, "given": first, "middle": middle, "suffix": "".join(suffixes)}


def _telecom(body: Element) -> dict[str, str]:
    told: dict[str, str] = {}
    for point in body.parts("telecom"):
        system = point.text("system")
        if system in told or system not in {"phone", "email"}:
            point.refuse("We keep one mobile phone number and one e-mail address.", code="not-supported")
            point.ignore()
            continue
        if system == "phone":
            point.only("use", "mobile")
        told[system] = point.text("value")
    return told


def _address(address: Element) -> dict[str, str]:
    address.only("use", "home")
    first, second = [*address.texts("line", 2), "", ""][:2]
    told = {name: address.text(name) for name in ("city", "state", "country")}
    told |= {"line1": first, "line2": second, "postal_code": address.text("postalCode")}
    if told["country"] and not any(value for name, value in told.items() if name != "country"):
        address.refuse("An address says more than its country.", code="required")
    return told


def _contact(contact: Element) -> dict[str, str]:
    point = contact.first("telecom")
    point.only("system", "phone")
    told = {
        "contact_name": contact.part("name").text("text"),
        "contact_phone": point.text("value"),
        "contact_relationship": contact.first("relationship").text("text"),
    }
    if contact and not (told["contact_name"] or told["contact_phone"]):
        contact.refuse("Write the name of the contact as text, or the phone number.", "name", "text", code="required")
    return told


def _language(communication: Element) -> str:
    communication.only("preferred", True)
    spoken = concept(communication.part("language"))
    if communication and (spoken.text or [system for system, _ in spoken.codes] != [BCP_47]):
        communication.refuse("Write the language as one tag of BCP 47, as en.", "language", code="code-invalid")
    return spoken.code(BCP_47)


def _extensions(body: Element) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for extension in body.parts("extension"):
        reader = READERS.get(extension.text("url"))
        name, value = reader(extension) if reader else ("", None)
        if not name or name in told:
            extension.refuse("We cannot keep this extension; leave it out.", code="extension")
            extension.ignore()
        told[name] = value
    told.pop("", None)
    return told


def _categories(extension: Element, known: Mapping[str, str]) -> list[str]:
    """Return the OMB categories; the text beside them can say their names and nothing else."""
    codes: list[str] = []
    texts: list[str] = []
    for inner in extension.parts("extension"):
        url = inner.text("url")
        if url == "ombCategory":
            system, code = coded(inner.part("valueCoding"))
            if system != (NULL_FLAVOR if code in UNSAID else CDC_RACE) or code not in {*known, *UNSAID}:
                inner.refuse("This is no code of the OMB categories.", code="code-invalid")
            codes.append(code)
        elif url == "text":
            texts.append(inner.text("valueString"))
        else:
            inner.refuse("We keep the OMB categories only.", code="not-supported")
            inner.ignore()
    names = ", ".join({**known, **UNSAID}.get(code, "") for code in codes)
    if [text.casefold() for text in texts] != [names.casefold()]:
        extension.refuse("The text can say the names of the categories only; we keep no other.")
    return codes


def _races(extension: Element) -> tuple[str, Any]:
    return "races", tuple(_categories(extension, RACES))


def _ethnicity(extension: Element) -> tuple[str, Any]:
    codes = _categories(extension, ETHNICITIES)
    if len(codes) > 1:
        extension.refuse("We keep one ethnicity.", code="not-supported")
    return "ethnicity", "".join(codes[:1])


def _birth_sex(extension: Element) -> tuple[str, Any]:
    return "birth_sex", extension.text("valueCode")


def _interpreter(extension: Element) -> tuple[str, Any]:
    system, code = coded(extension.part("valueCoding"))
    if system != SNOMED or code not in ANSWERS:
        extension.refuse("Say yes or no, as SNOMED CT codes them.", "valueCoding", code="code-invalid")
    return "needs_interpreter", ANSWERS.get(code)


READERS = {
    f"{US_CORE}race": _races,
    f"{US_CORE}ethnicity": _ethnicity,
    f"{US_CORE}birthsex": _birth_sex,
    f"{US_CORE}interpreter-needed": _interpreter,
}
