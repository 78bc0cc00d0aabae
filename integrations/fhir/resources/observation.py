"""Observation of a laboratory, by US Core 7."""

from __future__ import annotations

import re
from decimal import Decimal

from integrations.fhir.holes import Derived, Given, If, Number, Safe, Switch, Text, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import LOINC, SNOMED, TERMINOLOGY, UCUM, US_CORE, V3, coding, concept, reference
from integrations.fhir.values import folded

LOINC_NAMES = frozenset({"LN", "LOINC", "HTTP://LOINC.ORG"})  # HL7 table 0396, and what else laboratories write
LOINC_CODE = re.compile(r"[0-9]{1,7}-[0-9]")
SNOMED_NAMES = frozenset({"SCT", "SNM", "SNOMED", "SNOMED-CT", "SCT2", "HTTP://SNOMED.INFO/SCT"})
SNOMED_CODE = re.compile(r"[1-9][0-9]{5,17}")
NUMBER = r"(-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,10})?)"
SENT = re.compile(
    rf"(?:[<>]=?\s*)?\+?({NUMBER}|-?(?=[0-9.]{{3,19}}$)(?:0|[1-9][0-9]*)\.[0-9]+)"
)  # with 18 digits at most, or so
PLACES = Decimal(1).scaleb(-10)  # what a stored number is rounded to
SPAN = re.compile(rf"{NUMBER}\s*(?:-|\u2013|to)\s*{NUMBER}")
BOUND = re.compile(rf"([<>])=?\s*{NUMBER}")

STATUSES = {
    "pending": "registered",
    "preliminary": "preliminary",
    "final": "final",
    "corrected": "corrected",
    "cancelled": "cancelled",
}
INTERPRETATIONS = {
    "normal": ("N", "Normal"),
    "high": ("H", "High"),
    "low": ("L", "Low"),
    "critical_high": ("HH", "Critical high"),
    "critical_low": ("LL", "Critical low"),
    "abnormal": ("A", "Abnormal"),
    "critical": ("AA", "Critical abnormal"),
}
ABSENT_REASONS = {
    "pending": ("temp-unknown", "Temporarily Unknown"),
    "cancelled": ("not-performed", "Not Performed"),
    "document": ("unsupported", "Unsupported"),
    "unknown": ("unknown", "Unknown"),
}
CATEGORY = concept(f"{TERMINOLOGY}observation-category", "laboratory", "Laboratory")


def is_loinc(code: str | None, system: str | None) -> bool:
    return (system or "").strip().upper() in LOINC_NAMES and LOINC_CODE.fullmatch((code or "").strip()) is not None


def is_snomed(code: str | None, system: str | None) -> bool:
    return (system or "").strip().upper() in SNOMED_NAMES and SNOMED_CODE.fullmatch((code or "").strip()) is not None


def is_common(code: str | None, system: str | None) -> bool:
    return is_loinc(code, system) or is_snomed(code, system)


def named(  # noqa: PLR0917  # the columns of `CODE`
    test: str | None = None,
    test_system: str | None = None,
    test_name: str | None = None,
    code: str | None = None,
    text: str | None = None,
    system: str | None = None,
    other_code: str | None = None,
    other_text: str | None = None,
    other_system: str | None = None,
    feed: str | None = None,
) -> tuple[str | None, ...]:
    """Return (LOINC, our own code, the laboratory's own, its words for that, its feed, SNOMED, text) of what is tested.

    test: the code of our own test. code, other_code: as the laboratory sent them. Systems are as they were written.
    """
    sent = ((code, text, system), (other_code, other_text, other_system))
    codes = [(test, test_system), *((one, of) for one, _, of in sent)]
    loinc = next((one.strip() for one, of in codes if one and is_loinc(one, of)), None)
    own = folded(test) if not is_loinc(test, test_system) else None
    snomed = next((one.strip() for one, _, of in sent if one and is_snomed(one, of)), None)
    theirs, words = next(
        ((folded(one), said) for one, said, of in sent if folded(one) and not is_common(one, of)), NONE
    )
    name = next(filter(None, map(folded, (test_name, text, other_text, code, test))), "unknown")
    return loinc, own, theirs, folded(words), feed, snomed, name


NONE: tuple[str | None, str | None] = (None, None)
CODING: Tree = {
    "coding": [
        If("loinc", {"system": LOINC, "code": Safe("loinc")}),
        If("snomed", {"system": SNOMED, "code": Safe("snomed")}),
        If("own", {"system": join(Given("base"), "/CodeSystem/tests"), "code": Text("own")}),
        If(  # a code of nobody's system says nothing
            "of",
            If(
                "theirs",
                {
                    "system": join(Given("base"), "/CodeSystem/laboratory-", Safe("of")),
                    "code": Text("theirs"),
                    "display": Text("words"),
                },
            ),
        ),
    ],
    "text": Text("name"),
}
CODE_COLUMNS = (
    "test", "test_system", "test_name", "code", "code_text", "code_system", "other_code", "other_text", "other_system",
    "feed",
)  # fmt: skip
CODE_PARTS = ("loinc", "own", "theirs", "words", "of", "snomed", "name")
CODE = Derived(CODE_COLUMNS, named, CODE_PARTS, CODING)
BETWEEN = "\x1f"  # the unit separator of ASCII


def unpacked(codes: str | None) -> tuple[str | None, ...]:
    """Return what `named` does, of its columns in one text: a row that is nine columns narrower is read faster."""
    parts = [part.strip() or None for part in (codes or "").split(BETWEEN)]
    if len(parts) != len(CODE_COLUMNS):  # somebody sent a separator: only what we call our own test is certain
        parts = parts[:3]
    return named(*parts)


PACKED_CODE = Derived(("codes",), unpacked, CODE_PARTS, CODING)


def limits(text: str | None, unit: str | None, ucum: str | None) -> tuple[str | None, ...]:
    """Return (low, high, text, unit, UCUM) of a reference range; those two of a plain "3.5-5.1" or "< 200"."""
    low = high = None
    plain = (text or "").removesuffix(unit or "").strip()
    if span := SPAN.fullmatch(plain):
        low, high = span.groups() if Decimal(span[1]) <= Decimal(span[2]) else (None, None)
    elif bound := BOUND.fullmatch(plain):
        low, high = (None, bound[2]) if bound[1] == "<" else (bound[2], None)
    return low, high, text, unit, ucum


def digits(value: str | None, sent: str | None) -> tuple[str | None]:
    """Return the number as it was sent ("4.10"), or as short as it can be where the text says another or none."""
    plain = SENT.fullmatch((sent or "").strip())
    if value and plain and Decimal(plain[1]).quantize(PLACES) == Decimal(value):
        return (plain[1],)
    return (value.rstrip("0").rstrip(".") if value and "." in value else value,)


def _quantity(number: str) -> Tree:
    return If(
        number,
        {
            "value": Number(number),
            "unit": Text("limit_unit"),
            "system": If("limit_ucum", UCUM),
            "code": Safe("limit_ucum"),
        },
    )


RANGE = Derived(
    ("range", "unit", "ucum"),
    limits,
    ("low", "high", "range_text", "limit_unit", "limit_ucum"),
    [If("range_text", {"low": _quantity("low"), "high": _quantity("high"), "text": Text("range_text")})],
)

OBSERVATION = Resource(
    type="Observation",
    tree={
        **head("Observation", f"{US_CORE}observation-lab"),
        "basedOn": [reference("ServiceRequest", "order")],
        "status": Switch("status", STATUSES),
        "category": [CATEGORY],
        "code": PACKED_CODE,
        "subject": reference("Patient", "patient"),
        "encounter": If("encounter", reference("Encounter", "encounter")),
        "effectiveDateTime": Safe("effective"),
        "issued": Safe("issued"),
        "performer": [If("feed", reference("Organization", "feed"))],
        "valueQuantity": If(
            "value",
            {
                "value": Derived(("value", "sent"), digits, ("digits",), Number("digits")),
                "comparator": Safe("comparator"),
                "unit": Text("unit"),
                "system": If("ucum", UCUM),
                "code": Safe("ucum"),
            },
        ),
        "valueCodeableConcept": If("coded_value", {"text": Text("coded_value")}),
        "valueString": Text("text_value"),
        "dataAbsentReason": Switch(
            "absent",
            {
                name: concept(f"{TERMINOLOGY}data-absent-reason", code, display)
                for name, (code, display) in ABSENT_REASONS.items()
            },
        ),
        "interpretation": Switch(
            "flag",
            {
                name: [{"coding": [coding(f"{V3}ObservationInterpretation", code, display)]}]
                for name, (code, display) in INTERPRETATIONS.items()
            },
        ),
        "note": [If("note", {"text": Text("note")})],
        "specimen": If("specimen", reference("Specimen", "specimen")),
        "referenceRange": RANGE,
        "derivedFrom": [If("document", reference("DocumentReference", "document"))],
    },
    always=frozenset({"order", "status", "patient"}),
    mandatory=frozenset({"status", "category", "code", "subject"}),
)
