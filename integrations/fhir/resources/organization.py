"""Organization, by US Core 7: the practice, payers and laboratories."""

from __future__ import annotations

from integrations.fhir.contacts import ADDRESS, EMAIL, FAX, PHONE
from integrations.fhir.holes import Flag, If, Switch, Text
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import CLIA, NAIC, NPI, TERMINOLOGY, US_CORE, V2, concept

ORGANIZATION = Resource(
    "Organization",
    {
        **head("Organization", f"{US_CORE}organization"),
        "identifier": [
            If("npi", {"use": "official", "system": NPI, "value": Text("npi")}),
            If("clia", {"system": CLIA, "value": Text("clia")}),
            If("naic", {"system": NAIC, "value": Text("naic")}),
            If(
                "payer_number",
                {
                    "type": concept(f"{V2}0203", "NIIP", "National Insurance Payor Identifier (Payor)"),
                    "value": Text("payer_number"),
                },
            ),
        ],
        "active": Flag("active"),
        "type": [
            Switch(
                "kind",
                {
                    "practice": concept(f"{TERMINOLOGY}organization-type", "prov", "Healthcare Provider"),
                    "payer": concept(f"{TERMINOLOGY}organization-type", "pay", "Payer"),
                    "laboratory": concept(
                        f"{TERMINOLOGY}organization-type", "prov", "Healthcare Provider", "Laboratory"
                    ),
                },
            )
        ],
        "name": Text("name"),
        "telecom": [PHONE, FAX, EMAIL],
        "address": [ADDRESS],
    },
    always=frozenset({"active", "name", "kind"}),
    mandatory=frozenset({"active", "name"}),
)
