"""Proves that the edits keep none of the claims that readers of others find right."""

from __future__ import annotations

from backend.apps.insurance import edits, facts
from backend.apps.insurance.code_sets import CodeBook
from integrations.x12.claim_records import Claim
from tests.support import claim_facts

TODAY = "20261105"


def test_claims_of_all_kinds_that_others_find_right_have_no_finding_that_keeps_them() -> None:
    claims = [_facts(claim) for claim in claim_facts.random_claims(600)]
    parts = claim_facts.PARTS
    annex = parts.facilities["f0"]._replace(postal_code="787011234")
    context = edits.Context(
        facts.Parts(
            {one.id: facts.Billing(**one._asdict()) for one in parts.billing.values()},
            {one.id: facts.Payer(**one._asdict()) for one in parts.payers.values()},
            {one.id: facts.Provider(**one._asdict()) for one in parts.providers.values()},
            {one.id: facts.Facility(**one._asdict()) for one in (*parts.facilities.values(), annex)},
            {},
        ),
        CodeBook({}),
        TODAY,
    )
    said = edits.scrub(claims, context)
    assert {one.rule for findings in said.values() for one in findings} <= {"rendering-missing"}


def _facts(record: Claim) -> facts.Claim:
    lines = tuple(facts.Line(**one._asdict()) for one in record.lines)
    others = tuple(facts.OtherPayer(**one._asdict()) for one in record.other_payers)
    values = {**record._asdict(), "lines": lines, "other_payers": others}
    days = {"service_on": min(one.from_on for one in lines), "coverage_from": "20200101"}
    return facts.Claim(**values, **days, coverage=record.member_id, patient=record.member_id)
