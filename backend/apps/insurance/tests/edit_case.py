"""A claim that no edit objects to, and how it is changed for one; without it each test would spell seventy values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from backend.apps.insurance.code_sets import CodeBook, Known, edition
from backend.apps.insurance.edits import Context
from backend.apps.insurance.facts import (
    Billing,
    Claim,
    Facility,
    Line,
    LineAdjudication,
    OtherPayer,
    Parts,
    Payer,
    Plan,
    Provider,
)

TODAY = "20261105"
NPI, OTHER_NPI = "1234567893", "1679576722"
MBI = "1EG4TE5MK73"
BASE: Mapping[str, Any] = {
    "billing": Billing(
        "b", name="SAMPLE CLINIC", npi=NPI, taxonomy="207Q00000X", tax_id="741234567", line1="100 MAIN ST",
        city="AUSTIN", state="TX", postal_code="787011234", contact_name="DESK", contact_phone="15125550101",
    ),
    "payer": Payer("p", "SAMPLE HEALTH", "60054", route="r"),
    "plan": Plan("n", "ppo", "GOLD", "12", filing_days=180),
    "provider": Provider("d", "TESTER", "TESS", OTHER_NPI, "207R00000X"),
    "facility": Facility("f", "SAMPLE ANNEX", OTHER_NPI, "7 SIDE ST", "", "AUSTIN", "TX", "787031234"),
    "claim": Claim(
        "c", billing="b", payer="p", rendering="d", facility="f", filing_code="12", member_id="W123456789", plan="n",
        patient_last="DOE", patient_first="JANE", patient_birth="19800517", patient_sex="F", patient_line1="1 OAK AVE",
        patient_city="AUSTIN", patient_state="TX", patient_postal_code="78702", total="125.00", place_of_service="11",
        diagnoses="E119,I10", patient="w", coverage="v", coverage_from="20260101", service_on="20261028",
    ),
    "line": Line("1", "99213", charge="125.00", from_on="20261028", pointers="1,2"),
    "other": OtherPayer(
        "P", filing_code="CI", holder_last="DOE", holder_first="JANE", member_id="X1", payer_name="OTHER HEALTH",
        payer_identifier="77777", paid="80.00",
    ),
    "said": LineAdjudication(
        "77777", "80.00", "99213", adjudicated_on="20261101",
        adjustments=(("CO", "45", "25.00", ""), ("PR", "2", "20.00", "")),
    ),
}  # fmt: skip
Changes = Mapping[str, Any]
Case = tuple[list[Claim], Context]


class Example(NamedTuple):
    """breaks: the rule finds something. stands: the nearest that is right still, which no error is found in."""

    breaks: Changes
    stands: Changes


def case(changes: Changes) -> Case:
    """Return the claim of BASE with changes: "line.units" is that of its line, "lines" all lines, "codes" the lists.

    "secondary": another payer decided first. "beside": changes of a second claim of the same patient.
    """
    kinds = {kind: _changed(kind, changes) for kind in BASE}
    line = kinds["line"]._replace(adjudications=(kinds["said"],) if changes.get("secondary") else ())
    claim = kinds["claim"]._replace(
        lines=changes.get("lines", (line,)), other_payers=(kinds["other"],) if changes.get("secondary") else ()
    )
    if changes.get("secondary") and "claim.sequence" not in changes:
        claim = claim._replace(sequence="S", is_secondary="Y")
    if "others" in changes:
        claim = claim._replace(other_payers=changes["others"])
    claims = [claim]
    if "beside" in changes:
        claims.append(claim._replace(id="c2", **changes["beside"]))
    parts = Parts(*({kinds[kind].id: kinds[kind]} for kind in ("billing", "payer", "provider", "facility", "plan")))
    codes = CodeBook(
        {kind: [edition("20251001", "99991231", known)] for kind, known in changes.get("codes", {}).items()}
    )
    before, once_more = (frozenset(changes.get(name, ())) for name in ("duplicates", "once_more"))
    return claims, Context(parts, codes, changes.get("today", TODAY), before, once_more)


def _changed(kind: str, changes: Changes) -> Any:
    own = {name.partition(".")[2]: value for name, value in changes.items() if name.startswith(f"{kind}.")}
    return BASE[kind]._replace(**own)


def line(**over: Any) -> Line:
    return BASE["line"]._replace(**over)


def split(*units: str) -> tuple[Line, ...]:
    """Return one service on two lines of 62.50, which a modifier tells apart."""
    first, second = units
    return line(charge="62.50", units=first), line(number="2", charge="62.50", units=second, modifiers="59")


def known(code: str, **facts: Any) -> dict[str, Known]:
    return {"99213": Known(), "E119": Known(), "I10": Known(), code: Known(facts=facts)}


WRONG_NPI = "1234567890"
DEPENDENT = {"claim.relationship": "19", "claim.holder_last": "DOE", "claim.holder_first": "JOHN"}
SECOND = {"secondary": True}
DRUG = {"line.ndc": "00002751001", "line.ndc_quantity": "1.5", "line.ndc_unit": "ML"}
AGAIN = {"claim.frequency": "7", "claim.original_reference": "ICN1"}
MEDICARE = {"plan.kind": "medicare", "claim.filing_code": "MB", "claim.member_id": MBI}
TWO = (line(charge="62.50"), line(number="2", charge="62.50", code="36415"))
