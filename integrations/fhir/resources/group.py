"""Group: patients who are exported together."""

from __future__ import annotations

from integrations.fhir.holes import Each, Flag, Number, Text
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import reference

GROUP = Resource(
    "Group",
    {
        **head("Group"),
        "active": Flag("active"),
        "type": "person",
        "actual": True,
        "code": {"text": Text("description")},
        "name": Text("name"),
        "quantity": Number("size"),
        "member": [
            Each("members", ("patient",), {"entity": reference("Patient", "patient")}, always=frozenset({"patient"}))
        ],
    },
    always=frozenset({"active", "name", "size"}),
    mandatory=frozenset({"active", "type", "actual"}),
)
