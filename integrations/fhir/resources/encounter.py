"""Encounter, by US Core 7: a visit from when the patient has come."""

from __future__ import annotations

from integrations.fhir.holes import If, Safe, Switch, Text, Tree, Unless, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.resources.appointment import role
from integrations.fhir.terms import SNOMED, US_CORE, V3, coding, concept, reference

STATUSES = {"checked_in": "arrived", "in_progress": "in-progress", "completed": "finished"}
AMBULATORY = coding(f"{V3}ActCode", "AMB", "ambulatory")
VIRTUAL = coding(f"{V3}ActCode", "VR", "virtual")
KINDS: dict[str, Tree] = {
    "consultation": concept(SNOMED, "11429006", "Consultation", "Consultation"),
    "follow_up": concept(SNOMED, "390906007", "Follow-up encounter", "Follow up"),
    "procedure": concept(SNOMED, "71388002", "Procedure", "Procedure"),
    "lab_work": concept(SNOMED, "15220000", "Laboratory test", "Lab work"),
    "vaccination": concept(SNOMED, "33879002", "Administration of vaccine to produce active immunity", "Vaccination"),
    "telemedicine": concept(SNOMED, "448337001", "Telemedicine consultation with patient", "Telemedicine"),
}

ENCOUNTER = Resource(
    "Encounter",
    {
        **head("Encounter", f"{US_CORE}encounter"),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": join("urn:uuid:", Safe("id"))}],
        "status": Switch("status", STATUSES),
        "class": Switch("kind", {"telemedicine": VIRTUAL}, AMBULATORY),
        "type": [Switch("kind", KINDS)],
        "subject": reference("Patient", "patient"),
        "participant": [
            {
                "type": role("PPRF", "primary performer"),
                "period": {"start": Safe("start"), "end": Safe("end")},
                "individual": reference("Practitioner", "doctor"),
            }
        ],
        "appointment": [reference("Appointment", "id")],
        "period": {"start": Safe("start"), "end": Safe("end")},
        "reasonCode": [If("reason", {"text": Text("reason")})],
        "location": [
            Unless(
                "is_virtual",
                If(
                    "clinic",
                    {"location": {"reference": reference("Location", "clinic")["reference"], "display": Text("room")}},
                ),
            )
        ],
        "serviceProvider": If("clinic", reference("Organization", "clinic")),
    },
    always=frozenset({"status", "kind", "patient", "doctor", "start"}),
    mandatory=frozenset({"identifier", "status", "class", "type", "subject"}),
)
