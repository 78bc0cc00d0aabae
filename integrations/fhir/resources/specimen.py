"""Specimen, by US Core 7: what was taken from a patient, as the laboratory tells of it."""

from __future__ import annotations

from integrations.fhir.holes import Derived, If, Safe, Switch, Text, Tree, Unless
from integrations.fhir.resource import Resource, head
from integrations.fhir.resources.observation import SNOMED_NAMES
from integrations.fhir.terms import SNOMED, US_CORE, V2, concept, reference
from integrations.fhir.values import folded

HL7_TYPES = frozenset({"HL70487", "HL70070", "SPECIMENTYPE"})  # HL7 table 0487 took the place of 0070


def taken(code: str | None, system: str | None, text: str | None) -> tuple[str | None, ...]:
    """Return (HL7 code, SNOMED code, words) of the kind of a specimen; a code of nobody's system is a word."""
    plain, of = folded(code), (system or "").strip().upper()
    coded = (plain, None) if of in HL7_TYPES else (None, plain) if of in SNOMED_NAMES else (None, None)
    return *coded, folded(text) or (None if any(coded) else plain or "unknown")


KIND: Tree = Derived(
    ("type_code", "type_system", "type_text"),
    taken,
    ("hl7", "snomed", "words"),
    {
        "coding": [
            If("hl7", {"system": f"{V2}0487", "code": Text("hl7")}),
            If("snomed", {"system": SNOMED, "code": Text("snomed")}),
        ],
        "text": Text("words"),
    },
)

SPECIMEN = Resource(
    "Specimen",
    {
        **head("Specimen", f"{US_CORE}specimen"),
        "identifier": [If("number", {"value": Text("number")})],
        "accessionIdentifier": If(
            "accession", {"type": concept(f"{V2}0203", "ACSN", "Accession ID"), "value": Text("accession")}
        ),
        "status": Switch("status", {"available": "available", "unsatisfactory": "unsatisfactory"}),
        "type": KIND,
        "subject": reference("Patient", "patient"),
        "receivedTime": Safe("received"),
        "request": [reference("ServiceRequest", "order")],
        "collection": {
            "collectedDateTime": Unless("collected_until", Safe("collected")),
            "collectedPeriod": If("collected_until", {"start": Safe("collected"), "end": Safe("collected_until")}),
            "bodySite": If("site", {"text": Text("site")}),
        },
        "condition": [
            If("condition", {"text": Text("condition")}),
            If("reject_reason", {"text": Text("reject_reason")}),
        ],
        "note": [If("description", {"text": Text("description")})],
    },
    always=frozenset({"status", "patient", "order"}),
    mandatory=frozenset({"status", "type", "subject"}),
)
