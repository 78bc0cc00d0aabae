"""ServiceRequest, by US Core 7: what was asked of a laboratory."""

from __future__ import annotations

from integrations.fhir.holes import Derived, Each, Given, If, Safe, Switch, Text, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.resources.observation import CODE, CODE_PARTS, CODING, named
from integrations.fhir.terms import ICD_10_CM, SNOMED, US_CORE, V2, concept, reference

STATUSES = {
    "pending": "draft",
    "ordered": "active",
    "specimen_collected": "active",
    "in_progress": "active",
    "completed": "completed",
    "cancelled": "revoked",
}
PRIORITIES = {"routine": "routine", "urgent": "urgent", "stat": "stat"}
ORDER_NUMBER: Tree = {
    "type": concept(f"{V2}0203", "PLAC", "Placer Identifier"),
    "system": join(Given("base"), "/order-number"),
    "value": Text("number"),
}


def our_test(code: str | None, system: str | None, name: str | None) -> tuple[str | None, ...]:
    return named(code, system, name, None, None, None)


TESTS = Each(  # of an order of several
    "tests",
    ("one_test", "one_system", "one_name"),
    Derived(("one_test", "one_system", "one_name"), our_test, CODE_PARTS, CODING),
)

SERVICE_REQUEST = Resource(
    "ServiceRequest",
    {
        **head("ServiceRequest", f"{US_CORE}servicerequest"),
        "identifier": [
            ORDER_NUMBER,
            If(
                "placer_number",
                {"type": concept(f"{V2}0203", "PLAC", "Placer Identifier"), "value": Text("placer_number")},
            ),
        ],
        "status": Switch("status", STATUSES),
        "intent": "order",
        "category": [concept(SNOMED, "108252007", "Laboratory procedure")],
        "priority": Switch("priority", PRIORITIES),
        "code": CODE,
        "orderDetail": [TESTS],
        "subject": reference("Patient", "patient"),
        "encounter": If("encounter", reference("Encounter", "encounter")),
        "occurrenceDateTime": Safe("collected"),
        "authoredOn": Safe("authored"),
        "requester": If("doctor", reference("Practitioner", "doctor")),
        "performer": [If("feed", reference("Organization", "feed"))],
        "reasonCode": [
            If("diagnosis", {"coding": [{"system": ICD_10_CM, "code": Safe("diagnosis")}]}),
            If("indication", {"text": Text("indication")}),
        ],
        "note": [If("cancel_reason", {"text": Text("cancel_reason")})],
    },
    always=frozenset({"number", "status", "priority", "patient", "authored"}),
    mandatory=frozenset({"status", "intent", "code", "subject"}),
)
