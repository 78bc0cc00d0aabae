"""Practitioner, by US Core 7: a doctor, reached at the practice."""

from __future__ import annotations

from integrations.fhir.contacts import ADDRESS, EMAIL, PHONE
from integrations.fhir.holes import Each, Flag, If, Safe, Text
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import BCP_47, NPI, US_CORE, V2, concept

PRACTITIONER = Resource(
    "Practitioner",
    {
        **head("Practitioner", If("family", f"{US_CORE}practitioner")),
        "identifier": [
            If(
                "npi",
                {
                    "use": "official",
                    "type": concept(f"{V2}0203", "NPI", "National provider identifier"),
                    "system": NPI,
                    "value": Safe("npi"),
                },
            )
        ],
        "active": Flag("active"),
        "name": [{"family": Text("family"), "given": [Text("given")]}],
        "telecom": [PHONE, EMAIL],
        "address": [ADDRESS],
        "qualification": [
            If(
                "license",
                {
                    "identifier": [
                        {"type": concept(f"{V2}0203", "MD", "Medical License number"), "value": Text("license")}
                    ],
                    "code": {"text": "Licence to practise medicine"},
                },
            )
        ],
        "communication": [
            Each(
                "languages",
                ("language",),
                {"coding": [{"system": BCP_47, "code": Text("language")}]},
                always=frozenset({"language"}),
            )
        ],
    },
    always=frozenset({"active"}),
    mandatory=frozenset({"identifier", "active", "name"}),
)
