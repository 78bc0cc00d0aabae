"""Coverage, by US Core 7: a patient's membership in a payer's plan."""

from __future__ import annotations

from integrations.fhir.holes import If, Number, Safe, Switch, Text, Tree
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import TERMINOLOGY, US_CORE, V2, concept, reference

SOP = "https://nahdo.org/sopt"  # Source of Payment Typology
PLANS = {
    "hmo": ("511", "Commercial Managed Care - HMO"),
    "ppo": ("512", "Commercial Managed Care - PPO"),
    "pos": ("513", "Commercial Managed Care - POS"),
    "epo": ("514", "Exclusive Provider Organization"),
    "medicare": ("1", "MEDICARE"),
    "medicaid": ("2", "MEDICAID"),
    "tricare": ("311", "TRICARE (CHAMPUS)"),
}
RELATIONSHIP = f"{TERMINOLOGY}subscriber-relationship"
RELATIONSHIPS = {"self": "Self", "spouse": "Spouse", "child": "Child", "parent": "Parent", "other": "Other"}


def _class(kind: str, display: str, value: Tree, name: Tree = None) -> Tree:
    return {"type": concept(f"{TERMINOLOGY}coverage-class", kind, display), "value": value, "name": name}


COVERAGE = Resource(
    "Coverage",
    {
        **head("Coverage", f"{US_CORE}coverage"),
        "identifier": [
            {"type": concept(f"{V2}0203", "MB", "Member Number"), "value": Text("member")},
            {"type": {"text": "Policy number"}, "value": Text("policy")},
        ],
        "status": Switch("status", {"active": "active", "cancelled": "cancelled"}),
        "type": Switch("plan_type", {plan: concept(SOP, *told) for plan, told in PLANS.items()}),
        "subscriber": reference("Patient", "subscriber"),
        "subscriberId": Text("member"),
        "beneficiary": reference("Patient", "patient"),
        "relationship": Switch(
            "relationship",
            {code: concept(RELATIONSHIP, code, name) for code, name in RELATIONSHIPS.items()},
        ),
        "period": {"start": Safe("begins"), "end": Safe("ends")},
        "payor": [{**reference("Organization", "payer"), "display": Text("payer_name")}],
        "class": [
            If("group", _class("group", "Group", Text("group"))),
            If("plan", _class("plan", "Plan", Text("plan"), Text("plan_name"))),
        ],
        "order": Number("priority"),
    },
    always=frozenset({
        "member", "policy", "status", "plan_type", "patient", "relationship", "begins", "payer", "payer_name",
        "priority",
    }),
    mandatory=frozenset({"identifier", "status", "beneficiary", "relationship", "payor"}),
)  # fmt: skip
