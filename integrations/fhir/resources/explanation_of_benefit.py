"""ExplanationOfBenefit: what the payer made of a claim, line by line, as an 835 told it and the ledger holds it."""

from __future__ import annotations

from integrations.fhir.holes import Each, Given, If, Safe, Switch, Text, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.resources.claim import (
    CARE_TEAM,
    CARIN_BB,
    DIAGNOSES,
    INSURANCE,
    LINE,
    LINE_ALWAYS,
    LINE_COLUMNS,
    PROVIDER,
    STATUSES,
    TYPE,
    money,
)
from integrations.fhir.terms import TERMINOLOGY, concept, reference

OUTCOMES = {"complete": "complete", "partial": "partial"}  # partial: taken back until the next judgement
REASONS = "https://x12.org/codes/claim-adjustment-reason-codes"
ADJUDICATION = f"{TERMINOLOGY}adjudication"
CARIN_ADJUDICATION = f"{CARIN_BB}C4BBAdjudication"
CATEGORIES: dict[str, Tree] = {
    "submitted": concept(ADJUDICATION, "submitted", "Submitted Amount"),
    "eligible": concept(ADJUDICATION, "eligible", "Eligible Amount"),
    "benefit": concept(ADJUDICATION, "benefit", "Benefit Amount"),
    "deductible": concept(ADJUDICATION, "deductible", "Deductible"),
    "copay": concept(ADJUDICATION, "copay", "CoPay"),
    "coinsurance": concept(CARIN_ADJUDICATION, "coinsurance", "Co-insurance"),
    "memberliability": concept(CARIN_ADJUDICATION, "memberliability", "Member liability"),
    "discount": concept(CARIN_ADJUDICATION, "discount", "Discount"),
    "noncovered": concept(CARIN_ADJUDICATION, "noncovered", "Noncovered"),
}
ENTRY_COLUMNS = ("category", "told", "reason", "amount")


def _entries(column: str) -> Each:
    """Return adjudications: (category, group and reason in one, reason, amount) for each entry of the ledger."""
    entry = {
        "category": Switch("category", CATEGORIES),
        "reason": If(
            "reason",
            {"coding": [{"system": REASONS, "code": Text("reason")}], "text": Text("told")},
        ),
        "amount": money("amount"),
    }
    return Each(column, ENTRY_COLUMNS, entry, frozenset({"category", "amount"}))


def _total(category: str, column: str) -> Tree:
    return If(column, {"category": CATEGORIES[category], "amount": money(column)})


EXPLANATION_OF_BENEFIT = Resource(
    "ExplanationOfBenefit",
    {
        **head("ExplanationOfBenefit"),
        "identifier": [
            {"system": join(Given("base"), "/NamingSystem/claim"), "value": Safe("number")},
            If("payer_number", {"type": {"text": "The payer's claim number"}, "value": Text("payer_number")}),
        ],
        "status": Switch("status", STATUSES),
        "type": TYPE,
        "use": "claim",
        "patient": reference("Patient", "patient"),
        "billablePeriod": {"start": Safe("first_day"), "end": Safe("last_day")},
        "created": Safe("created"),
        "insurer": reference("Organization", "insurer"),
        "provider": PROVIDER,
        "claim": reference("Claim", "id"),
        "outcome": Switch("outcome", OUTCOMES),
        "disposition": Text("disposition"),
        "careTeam": CARE_TEAM,
        "diagnosis": DIAGNOSES,
        "insurance": [INSURANCE],
        "item": Each(
            "lines",
            (*LINE_COLUMNS, "entries"),
            {**LINE, "adjudication": _entries("entries")},
            LINE_ALWAYS,
        ),
        "adjudication": _entries("claim_entries"),
        "total": [
            _total("submitted", "billed"),
            _total("eligible", "allowed"),
            _total("benefit", "paid"),
            _total("memberliability", "patient_share"),
        ],
        "payment": If(
            "paid_on",
            {"date": Safe("paid_on"), "amount": money("paid"), "identifier": {"value": Text("payment_reference")}},
        ),
    },
    always=frozenset({
        "number", "status", "patient", "first_day", "last_day", "created", "insurer", "coverage", "billed",
        "billing_name", "outcome",
    }),
    mandatory=frozenset({
        "status", "type", "use", "patient", "created", "insurer", "provider", "outcome", "insurance",
    }),
)  # fmt: skip
