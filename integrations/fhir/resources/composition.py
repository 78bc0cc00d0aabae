"""Composition: a signed SOAP note in its four parts, and the vital signs that were taken with it."""

from __future__ import annotations

from integrations.fhir.holes import Each, If, Narrative, Safe, Switch, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.resources.document_reference import NOTES
from integrations.fhir.terms import LOINC, concept, organization, reference

STATUSES = {"final": "final", "amended": "amended"}
PARTS = {  # the code of LOINC, what LOINC calls it, what the note does
    "subjective": ("61150-9", "Subjective Narrative", "Subjective"),
    "objective": ("61149-1", "Objective Narrative", "Objective"),
    "assessment": ("51848-0", "Evaluation note", "Assessment"),
    "plan": ("18776-5", "Plan of care note", "Plan of care"),
}


def _part(column: str) -> Tree:
    code, display, title = PARTS[column]
    text = {"status": "additional", "div": Narrative(column)}
    return If(column, {"title": title, "code": concept(LOINC, code, display), "text": text})


COMPOSITION = Resource(
    "Composition",
    {
        **head("Composition"),
        "status": Switch("status", STATUSES),
        "type": Switch("type", NOTES),
        "subject": reference("Patient", "patient"),
        "encounter": reference("Encounter", "encounter"),
        "date": Safe("date"),
        "author": [reference("Practitioner", "doctor")],
        "title": "SOAP note",
        "attester": [{"mode": "legal", "time": Safe("date"), "party": reference("Practitioner", "doctor")}],
        "custodian": organization("clinic", "clinic_name"),
        "relatesTo": [If("amends", {"code": "replaces", "targetReference": reference("Composition", "amends")})],
        "section": [
            *(_part(column) for column in PARTS),
            If(
                "measured",
                {
                    "title": "Vital signs",
                    "code": concept(LOINC, "8716-3", "Vital signs"),
                    "entry": Each(
                        "measured",
                        ("observation",),
                        {"reference": join("Observation/", Safe("observation"))},
                        frozenset({"observation"}),
                    ),
                },
            ),
        ],
    },
    always=frozenset({"status", "type", "patient", "date", "doctor"}),
    mandatory=frozenset({"status", "type", "date", "author", "title"}),
)
