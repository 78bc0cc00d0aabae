"""AuditEvent: who asked the practice's systems for what, and whether it was allowed; names and values never."""

from __future__ import annotations

from integrations.fhir.holes import Given, If, Safe, Switch, Text, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import TERMINOLOGY, coding, organization, reference

REST = coding(f"{TERMINOLOGY}audit-event-type", "rest", "RESTful Operation")
SIGN_IN = coding("http://dicom.nema.org/resources/ontology/DCM", "110114", "User Authentication")
TYPES: dict[str, Tree] = {"rest": REST, "sign-in": SIGN_IN}
INTERACTIONS: dict[str, Tree] = {
    code: coding("http://hl7.org/fhir/restful-interaction", code)
    for code in ("read", "vread", "search-type", "create", "update", "patch", "delete", "operation", "capabilities")
}
ACTIONS = {"C": "C", "R": "R", "U": "U", "D": "D", "E": "E"}
OUTCOMES = {"allowed": "0", "refused": "4", "failed": "8"}
ROLES: dict[str, Tree] = {
    "patient": coding(f"{TERMINOLOGY}object-role", "1", "Patient"),
    "domain": coding(f"{TERMINOLOGY}object-role", "4", "Domain Resource"),
}

AUDIT_EVENT = Resource(
    "AuditEvent",
    {
        **head("AuditEvent"),
        "type": Switch("type", TYPES),
        "subtype": [
            Switch("interaction", INTERACTIONS),
            {"system": join(Given("base"), "/CodeSystem/audit-action"), "code": Text("verb")},
        ],
        "action": Switch("action", ACTIONS),
        "recorded": Safe("updated"),
        "outcome": Switch("outcome", OUTCOMES),
        "agent": [
            {
                "who": {
                    "reference": join("Practitioner/", Safe("doctor")),
                    "identifier": If(
                        "actor", {"system": join(Given("base"), "/NamingSystem/actor"), "value": Safe("actor")}
                    ),
                    "display": Text("machine"),
                },
                "requestor": True,
            }
        ],
        "source": {"observer": organization("clinic", "clinic_name")},
        "entity": [
            If("entity", {"what": {"reference": Safe("entity")}, "role": ROLES["domain"]}),
            If(
                "other",
                {
                    "what": {
                        "identifier": {"system": join(Given("base"), "/NamingSystem/row"), "value": Text("other")}
                    },
                    "role": ROLES["domain"],
                },
            ),
            If("patient", {"what": reference("Patient", "patient"), "role": ROLES["patient"]}),
        ],
    },
    always=frozenset({"type", "verb", "action", "outcome", "clinic_name"}),
    mandatory=frozenset({"type", "recorded", "agent", "source"}),
)
