"""Medication, by US Core 7; without it a prescription would name a drug in words that no two systems share."""

from __future__ import annotations

from integrations.fhir.holes import If, Safe, Switch, Text
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import NDC, RXNORM, US_CORE

STATUSES = {"true": "active", "false": "inactive"}  # by whether it may be prescribed

MEDICATION = Resource(
    "Medication",
    {
        **head("Medication", f"{US_CORE}medication"),
        "code": {
            "coding": [
                If("rxnorm", {"system": RXNORM, "code": Text("rxnorm")}),
                {"system": NDC, "code": Safe("ndc")},
            ],
            "text": Text("drug"),
        },
        "status": Switch("active", STATUSES),
        "manufacturer": {"display": Text("manufacturer")},
        "form": {"text": Text("form")},
    },
    always=frozenset({"ndc", "active"}),
    mandatory=frozenset({"code", "status"}),
)
