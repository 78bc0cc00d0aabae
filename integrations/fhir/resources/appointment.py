"""Appointment: a visit that is planned, or what became of the plan."""

from __future__ import annotations

from integrations.fhir.holes import If, Number, Safe, Switch, Text, Tree
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import V2, V3, coding, concept, reference

STATUSES = {
    "scheduled": "booked",
    "confirmed": "booked",
    "checked_in": "arrived",
    "in_progress": "arrived",  # R4 has no word for a visit that goes on; its Encounter tells it
    "completed": "fulfilled",
    "cancelled": "cancelled",
    "no_show": "noshow",
}
ANSWERS = {  # of the patient: who has not confirmed yet is still to say so
    "scheduled": "needs-action",
    "cancelled": "declined",
    **dict.fromkeys(("confirmed", "checked_in", "in_progress", "completed", "no_show"), "accepted"),
}
KINDS: dict[str, Tree] = {
    "consultation": concept(f"{V2}0276", "ROUTINE", "Routine appointment - default if not valued", "Consultation"),
    "follow_up": concept(f"{V2}0276", "FOLLOWUP", "A follow up visit from a previous appointment", "Follow up"),
    "procedure": {"text": "Procedure"},
    "lab_work": {"text": "Lab work"},
    "vaccination": {"text": "Vaccination"},
    "telemedicine": {"text": "Telemedicine"},
}


def role(code: str, display: str) -> Tree:
    return [{"coding": [coding(f"{V3}ParticipationType", code, display)]}]


APPOINTMENT = Resource(
    "Appointment",
    {
        **head("Appointment"),
        "status": Switch("status", STATUSES),
        "cancelationReason": If("cancel_reason", {"text": Text("cancel_reason")}),
        "appointmentType": Switch("kind", KINDS),
        "reasonCode": [If("reason", {"text": Text("reason")})],
        "start": Safe("start"),
        "end": Safe("end"),
        "minutesDuration": Number("minutes"),
        "created": Safe("created"),
        "participant": [
            {
                "actor": reference("Patient", "patient"),
                "required": "required",
                "status": Switch("status", ANSWERS),
            },
            {
                "type": role("PPRF", "primary performer"),
                "actor": reference("Practitioner", "doctor"),
                "required": "required",
                "status": "accepted",
            },
            If(
                "has_place",
                {
                    "type": role("LOC", "location"),
                    "actor": {"reference": reference("Location", "place")["reference"], "display": Text("room")},
                    "required": "information-only",
                    "status": "accepted",
                },
            ),
        ],
    },
    always=frozenset({"status", "kind", "start", "end", "minutes", "created", "patient", "doctor"}),
    mandatory=frozenset({"status", "participant"}),
)
