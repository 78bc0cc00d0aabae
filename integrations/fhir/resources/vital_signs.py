"""Observation of a vital sign, by the profiles of US Core 7: one shape for all of them, told apart by `kind`."""

from __future__ import annotations

from dataclasses import dataclass

from integrations.fhir.holes import If, Number, Safe, Switch, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import LOINC, TERMINOLOGY, UCUM, US_CORE, coding, concept, reference


@dataclass(frozen=True, slots=True)
class VitalSign:
    """What one kind is called. codes: LOINC, the first is the magic one of R4. unit: as read, ucum: as coded."""

    profile: str
    codes: tuple[tuple[str, str], ...]
    unit: str
    ucum: str


VITAL_SIGNS = {
    "bp": VitalSign(
        "blood-pressure", (("85354-9", "Blood pressure panel with all children optional"),), "mmHg", "mm[Hg]"
    ),
    "heart-rate": VitalSign("heart-rate", (("8867-4", "Heart rate"),), "beats/minute", "/min"),
    "respiratory-rate": VitalSign("respiratory-rate", (("9279-1", "Respiratory rate"),), "breaths/minute", "/min"),
    "body-temperature": VitalSign("body-temperature", (("8310-5", "Body temperature"),), "C", "Cel"),
    "body-weight": VitalSign("body-weight", (("29463-7", "Body weight"),), "kg", "kg"),
    "body-height": VitalSign("body-height", (("8302-2", "Body height"),), "cm", "cm"),
    "oxygen-saturation": VitalSign(
        "pulse-oximetry",
        (
            ("2708-6", "Oxygen saturation in Arterial blood"),
            ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
        ),
        "%",
        "%",
    ),
    "bmi": VitalSign("bmi", (("39156-5", "Body mass index (BMI) [Ratio]"),), "kg/m2", "kg/m2"),
}
CODES: dict[str, Tree] = {
    kind: {"coding": [coding(LOINC, code, name) for code, name in sign.codes], "text": sign.codes[-1][1]}
    for kind, sign in VITAL_SIGNS.items()
}


def _pressure(code: str, name: str, column: str) -> Tree:
    quantity = {"value": Number(column), "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
    return If(column, {"code": concept(LOINC, code, name, name), "valueQuantity": quantity})


def _head() -> dict[str, Tree]:
    begin = head("Observation")
    profiles = {kind: [f"{US_CORE}{sign.profile}"] for kind, sign in VITAL_SIGNS.items()}
    return {**begin, "meta": {**begin["meta"], "profile": Switch("kind", profiles)}}


VITAL_SIGN = Resource(
    "Observation",
    {
        **_head(),
        "status": Switch("status", {"final": "final", "amended": "amended"}),
        "category": [concept(f"{TERMINOLOGY}observation-category", "vital-signs", "Vital Signs")],
        "code": Switch("kind", CODES),
        "subject": reference("Patient", "patient"),
        "encounter": If("encounter", reference("Encounter", "encounter")),
        "effectiveDateTime": Safe("effective"),
        "issued": Safe("issued"),
        "performer": [reference("Practitioner", "doctor")],
        "valueQuantity": If(
            "value",
            {
                "value": Number("value"),
                "unit": Switch("kind", {kind: sign.unit for kind, sign in VITAL_SIGNS.items()}),
                "system": UCUM,
                "code": Switch("kind", {kind: sign.ucum for kind, sign in VITAL_SIGNS.items()}),
            },
        ),
        "derivedFrom": [
            If("measured", {"reference": join("Observation/", Safe("measured"), f"-{kind}")})
            for kind in ("body-weight", "body-height")
        ],
        "component": [
            _pressure("8480-6", "Systolic blood pressure", "systolic"),
            _pressure("8462-4", "Diastolic blood pressure", "diastolic"),
        ],
    },
    always=frozenset({"kind", "status", "patient", "effective", "issued", "doctor"}),
    mandatory=frozenset({"status", "category", "code", "subject"}),
)
