"""PractitionerRole, by US Core 7: what a doctor does at the practice, where and in which hours."""

from __future__ import annotations

from integrations.fhir.contacts import EMAIL, PHONE
from integrations.fhir.holes import Each, Flag, If, Safe, Switch, Text
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import NUCC, TERMINOLOGY, US_CORE, concept, reference

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # Monday is 0, as the practice counts

PRACTITIONER_ROLE = Resource(
    "PractitionerRole",
    {
        **head("PractitionerRole", If("reached", f"{US_CORE}practitionerrole")),
        "active": Flag("active"),
        "practitioner": {**reference("Practitioner", "id"), "display": Text("name")},
        "organization": reference("Organization", "clinic"),
        "code": [concept(f"{TERMINOLOGY}practitioner-role", "doctor", "Doctor")],
        "specialty": [
            Each(
                "specialties",
                ("code", "specialty"),
                {
                    "coding": [If("code", {"system": NUCC, "code": Safe("code")})],
                    "text": Text("specialty"),
                },
                always=frozenset({"specialty"}),
            )
        ],
        "location": [reference("Location", "clinic")],
        "telecom": [PHONE, EMAIL],
        "availableTime": [
            Each(
                "hours",
                ("day", "opens", "closes"),
                {
                    "daysOfWeek": [Switch("day", {str(place): day for place, day in enumerate(DAYS)})],
                    "availableStartTime": Safe("opens"),
                    "availableEndTime": Safe("closes"),
                },
                always=frozenset({"day", "opens", "closes"}),
            )
        ],
    },
    always=frozenset({"active"}),
    mandatory=frozenset({"active", "practitioner", "organization"}),
)
