"""Claim: what the practice asks a payer for, as an 837 professional claim says it."""

from __future__ import annotations

from integrations.fhir.holes import Each, Given, If, Number, Safe, Switch, Text, Tree, Unless, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import ICD_10_CM, NDC, NPI, TERMINOLOGY, UCUM, V3, coding, concept, reference

CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
PLACES = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
CARIN_BB = "http://hl7.org/fhir/us/carin-bb/CodeSystem/"
STATUSES = {"active": "active", "draft": "draft", "cancelled": "cancelled"}  # cancelled: a void, or what one took back
DRUG_UNITS = {"F2": "[iU]", "GR": "g", "ME": "mg", "ML": "mL", "UN": "{unit}"}  # CTP05, in UCUM
ACCIDENTS = {"AA": "MVA", "EM": "WPA"}

# The parts that a claim and its answer share.
LINE_COLUMNS = (
    "number", "team", "pointers", "cpt", "hcpcs", "description", "modifiers", "first", "last", "place", "units",
    "minutes", "price", "charge", "ndc", "ndc_quantity", "ndc_unit",
)  # fmt: skip
LINE_ALWAYS = frozenset({"number", "pointers", "first", "units", "charge"})


def money(column: str) -> Tree:
    """Return an amount of dollars, absent where the column is NULL."""
    return If(column, {"value": Number(column), "currency": "USD"})


def _procedure() -> list[Tree]:
    return [If("cpt", {"system": CPT, "code": Text("cpt")}), If("hcpcs", {"system": HCPCS, "code": Text("hcpcs")})]


LINE: dict[str, Tree] = {
    "sequence": Number("number"),
    "careTeamSequence": [Number("team")],
    "diagnosisSequence": Each("pointers", ("place",), Number("place"), frozenset({"place"})),
    "productOrService": {"coding": _procedure(), "text": Text("description")},
    "modifier": Each("modifiers", ("cpt", "hcpcs"), {"coding": _procedure()}),
    "servicedDate": Unless("last", Safe("first")),
    "servicedPeriod": If("last", {"start": Safe("first"), "end": Safe("last")}),
    "locationCodeableConcept": If("place", {"coding": [{"system": PLACES, "code": Text("place")}]}),
    "quantity": {
        "value": Number("units"),
        "unit": If("minutes", "minutes"),
        "system": If("minutes", UCUM),
        "code": If("minutes", "min"),
    },
    "unitPrice": money("price"),
    "net": money("charge"),
    "detail": [
        If(
            "ndc",
            {
                "sequence": 1,
                "productOrService": {"coding": [{"system": NDC, "code": Text("ndc")}]},
                "quantity": {
                    "value": Number("ndc_quantity"),
                    "system": UCUM,
                    "code": Switch("ndc_unit", DRUG_UNITS),
                },
            },
        )
    ],
}
TYPE = concept(f"{TERMINOLOGY}claim-type", "professional", "Professional")
PROVIDER: Tree = {
    "reference": join("Organization/", Safe("clinic")),
    "identifier": If("billing_npi", {"system": NPI, "value": Text("billing_npi")}),
    "display": Text("billing_name"),
}
DIAGNOSES: Tree = Each(
    "diagnoses",
    ("place", "code"),
    {
        "sequence": Number("place"),
        "diagnosisCodeableConcept": {"coding": [{"system": ICD_10_CM, "code": Text("code")}]},
    },
    frozenset({"place", "code"}),
)
PRIOR: Tree = concept(f"{TERMINOLOGY}ex-relatedclaimrelationship", "prior", "Prior Claim")
ASSOCIATED: Tree = concept(f"{TERMINOLOGY}ex-relatedclaimrelationship", "associated", "Associated Claim")
RELATED: Tree = [
    If("original", {"claim": reference("Claim", "original"), "relationship": PRIOR}),
    If("first_claim", {"claim": reference("Claim", "first_claim"), "relationship": ASSOCIATED}),
]


def _team_role(code: str, display: str) -> Tree:
    return concept(f"{CARIN_BB}C4BBClaimCareTeamRole", code, display)


RENDERING = _team_role("rendering", "Rendering provider")
CARE_TEAM: Tree = [
    If(
        "rendering",
        {
            "sequence": 1,
            "provider": reference("Practitioner", "rendering"),
            "role": RENDERING,
        },
    ),
    If(
        "referring_npi",
        {
            "sequence": 2,
            "provider": {
                "identifier": {"system": NPI, "value": Text("referring_npi")},
                "display": Text("referring_name"),
            },
            "role": _team_role("referring", "Referring"),
        },
    ),
    Each(
        "line_doctors",
        ("place", "doctor"),
        {"sequence": Number("place"), "provider": reference("Practitioner", "doctor"), "role": RENDERING},
        frozenset({"place", "doctor"}),
    ),
]
ACCIDENT: Tree = If(
    "accident_on",
    {
        "date": Safe("accident_on"),
        "type": Switch(
            "accident", {code: {"coding": [coding(f"{V3}ActCode", act)]} for code, act in ACCIDENTS.items()}
        ),
        "locationAddress": {"state": Text("accident_state")},
    },
)
INSURANCE: dict[str, Tree] = {"focal": True, "coverage": reference("Coverage", "coverage")}

CLAIM = Resource(
    "Claim",
    {
        **head("Claim"),
        "identifier": [{"system": join(Given("base"), "/NamingSystem/claim"), "value": Safe("number")}],
        "status": Switch("status", STATUSES),
        "type": TYPE,
        "use": "claim",
        "patient": reference("Patient", "patient"),
        "billablePeriod": {"start": Safe("first_day"), "end": Safe("last_day")},
        "created": Safe("created"),
        "insurer": reference("Organization", "insurer"),
        "provider": PROVIDER,
        "priority": concept(f"{TERMINOLOGY}processpriority", "normal"),
        "related": RELATED,
        "careTeam": CARE_TEAM,
        "diagnosis": DIAGNOSES,
        "insurance": [{"sequence": 1, **INSURANCE, "preAuthRef": [Text("authorization")]}],
        "accident": ACCIDENT,
        "item": Each("lines", LINE_COLUMNS, LINE, LINE_ALWAYS),
        "total": money("billed"),
    },
    always=frozenset({
        "number", "status", "patient", "first_day", "last_day", "created", "insurer", "coverage", "billed",
        "billing_name",
    }),
    mandatory=frozenset({
        "status", "type", "use", "patient", "created", "provider", "priority", "insurance",
    }),
)  # fmt: skip
