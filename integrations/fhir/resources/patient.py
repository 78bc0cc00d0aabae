"""Patient, by US Core 7."""

from __future__ import annotations

import json

from integrations.fhir.holes import Derived, Each, Flag, Given, If, Safe, Switch, Text, Tree
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import BCP_47, CDC_RACE, NULL_FLAVOR, US_CORE, V2, coding, concept, reference

RACES = {
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
}
ETHNICITIES = {"2135-2": "Hispanic or Latino", "2186-5": "Not Hispanic or Latino"}
UNSAID = {"ASKU": "asked but unknown", "UNK": "unknown"}
NAMES = {**RACES, **UNSAID}


def _category(code: str, display: str) -> dict[str, Tree]:
    system = NULL_FLAVOR if code in UNSAID else CDC_RACE
    return {"url": "ombCategory", "valueCoding": coding(system, code, display)}


def categories(races: str | None) -> tuple[str | None, str | None]:
    """Return the race codes of a JSON list as rows for `Each`, and their names as one text."""
    codes = [code for code in json.loads(races or "[]") if isinstance(code, str)]
    if not codes:
        return None, None
    return json.dumps([[code] for code in codes]), ", ".join(NAMES.get(code, code) for code in codes)


RACE: Tree = Derived(  # the same few lists return: each is put into words once
    ("races",),
    categories,
    ("race_rows", "race_text"),
    If(
        "race_rows",
        {
            "url": f"{US_CORE}race",
            "extension": [
                Each(
                    "race_rows",
                    ("race",),
                    Switch("race", {code: _category(code, name) for code, name in NAMES.items()}),
                ),
                {"url": "text", "valueString": Text("race_text")},
            ],
        },
    ),
)
ETHNICITY: Tree = Switch(
    "ethnicity",
    {
        code: {
            "url": f"{US_CORE}ethnicity",
            "extension": [_category(code, name), {"url": "text", "valueString": name}],
        }
        for code, name in {**ETHNICITIES, **UNSAID}.items()
    },
)
BIRTH_SEX: Tree = If("birth_sex", {"url": f"{US_CORE}birthsex", "valueCode": Safe("birth_sex")})
INTERPRETER: Tree = Switch(
    "needs_interpreter",
    {
        "true": {
            "url": f"{US_CORE}interpreter-needed",
            "valueCoding": coding("http://snomed.info/sct", "373066001", "Yes"),
        },
        "false": {
            "url": f"{US_CORE}interpreter-needed",
            "valueCoding": coding("http://snomed.info/sct", "373067005", "No"),
        },
    },
)

PATIENT = Resource(
    "Patient",
    {
        **head("Patient", f"{US_CORE}patient"),
        "extension": [RACE, ETHNICITY, BIRTH_SEX, INTERPRETER],
        "identifier": [
            {
                "use": "usual",
                "type": concept(f"{V2}0203", "MR", "Medical record number"),
                "system": Given("mrn_system"),
                "value": Safe("mrn"),
            }
        ],
        "active": Flag("active"),
        "name": [
            {
                "use": "official",
                "family": Text("family"),
                "given": [Text("given"), Text("middle")],
                "suffix": [Text("suffix")],
            }
        ],
        "telecom": [
            If("phone", {"system": "phone", "value": Text("phone"), "use": "mobile"}),
            If("email", {"system": "email", "value": Text("email")}),
        ],
        "gender": Safe("gender"),
        "birthDate": Safe("birth_date"),
        "deceasedDateTime": Safe("deceased"),
        "address": [
            If(
                "has_address",
                {
                    "use": "home",
                    "line": [Text("line1"), Text("line2")],
                    "city": Text("city"),
                    "state": Text("state"),
                    "postalCode": Text("postal_code"),
                    "country": Safe("country"),
                },
            )
        ],
        "contact": [
            If(
                "has_contact",
                {
                    "relationship": [If("contact_relationship", {"text": Text("contact_relationship")})],
                    "name": {"text": Text("contact_name")},
                    "telecom": [If("contact_phone", {"system": "phone", "value": Text("contact_phone")})],
                },
            )
        ],
        "communication": [
            If(
                "language",
                {"language": {"coding": [{"system": BCP_47, "code": Text("language")}]}, "preferred": True},
            )
        ],
        "link": Each(
            "merged", ("other",), {"other": reference("Patient", "other"), "type": "replaces"}, frozenset({"other"})
        ),
    },
    always=frozenset({"active", "mrn", "family", "gender", "birth_date"}),
    mandatory=frozenset({"identifier", "active", "name", "gender", "deceasedDateTime", "link"}),
)
