"""Provenance, by US Core 7: who is behind a resource, and who handed it on to the reader."""

from __future__ import annotations

from integrations.fhir.holes import Each, If, Safe, Switch, Tree
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import TERMINOLOGY, US_CORE, V3, concept, organization, reference

ACTIVITIES: dict[str, Tree] = {
    "CREATE": concept(f"{V3}DataOperation", "CREATE", "create"),
    "UPDATE": concept(f"{V3}DataOperation", "UPDATE", "revise"),
}
AUTHOR = concept(f"{TERMINOLOGY}provenance-participant-type", "author", "Author")
TRANSMITTER = concept(
    "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type", "transmitter", "Transmitter"
)
CLINIC = organization("clinic", "clinic_name")

PROVENANCE = Resource(
    "Provenance",
    {
        **head("Provenance", f"{US_CORE}provenance"),
        "target": Each("targets", ("target",), {"reference": Safe("target")}, frozenset({"target"})),
        "occurredDateTime": Safe("occurred"),
        "recorded": Safe("recorded"),
        "activity": Switch("activity", ACTIVITIES),
        "agent": [
            If("doctor", {"type": AUTHOR, "who": reference("Practitioner", "doctor"), "onBehalfOf": CLINIC}),
            If("author_name", {"type": AUTHOR, "who": organization("author", "author_name")}),
            {"type": TRANSMITTER, "who": CLINIC},
        ],
    },
    always=frozenset({"targets", "recorded", "activity", "clinic_name"}),
    mandatory=frozenset({"target", "recorded", "agent"}),
)
