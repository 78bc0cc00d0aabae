"""DocumentReference, by US Core 7: where a signed note or a laboratory's document can be had, never its content."""

from __future__ import annotations

from integrations.fhir.holes import Each, Given, If, Safe, Switch, Text, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import LOINC, US_CORE, concept, organization, reference

CATEGORY = concept(
    "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note"
)
FORMAT = {
    "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
    "display": "mimeType Sufficient",
}
PROGRESS = concept(LOINC, "11506-3", "Progress note")
NOTES: dict[str, Tree] = {
    "soap": PROGRESS,
    "progress": PROGRESS,
    "consultation": concept(LOINC, "11488-4", "Consult note"),
    "admission": concept(LOINC, "34117-2", "History and physical note"),
    "discharge": concept(LOINC, "18842-5", "Discharge summary"),
    "procedure": concept(LOINC, "28570-0", "Procedure note"),
    "operative": concept(LOINC, "11504-8", "Surgical operation note"),
}
TYPES: dict[str, Tree] = {**NOTES, "result": concept(LOINC, "11502-2", "Laboratory report")}
STATUSES = {"current": "current", "superseded": "superseded"}  # superseded: an amendment of it is signed
DOC_STATUSES = {"preliminary": "preliminary", "final": "final", "amended": "amended"}

DOCUMENT_REFERENCE = Resource(
    "DocumentReference",
    {
        **head("DocumentReference", f"{US_CORE}documentreference"),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": join("urn:uuid:", Safe("id"))}],
        "status": Switch("status", STATUSES),
        "docStatus": Switch("doc_status", DOC_STATUSES),
        "type": Switch("type", TYPES),
        "category": [CATEGORY],
        "subject": reference("Patient", "patient"),
        "date": Safe("date"),
        "author": [
            If("doctor", reference("Practitioner", "doctor")),
            If("author_name", organization("author", "author_name")),
        ],
        "authenticator": reference("Practitioner", "doctor"),
        "custodian": organization("clinic", "clinic_name"),
        "relatesTo": [If("amends", {"code": "replaces", "target": reference("DocumentReference", "amends")})],
        "description": Text("description"),
        "content": Each(
            "contents",
            ("binary", "kind", "title"),
            {
                "attachment": {
                    "contentType": Safe("kind"),
                    "url": join(Given("base"), "/Binary/", Safe("binary")),
                    "title": Text("title"),
                },
                "format": FORMAT,
            },
            frozenset({"binary", "kind"}),
        ),
        "context": {
            "encounter": [If("encounter", reference("Encounter", "encounter"))],
            "period": {"start": Safe("visit_start"), "end": Safe("visit_end")},
        },
    },
    always=frozenset({"status", "type", "patient", "date", "contents"}),
    mandatory=frozenset({"status", "type", "category", "subject", "content"}),
)
