"""Proves that the edits keep none of the claims that readers of others find right."""

from __future__ import annotations

from backend.apps.insurance import edits, facts
from backend.apps.insurance.code_sets import CodeBook
from backend.apps.insurance.edits import forms, people
from integrations.x12 import claim_forms
from integrations.x12.claim_records import Claim
from integrations.x12.text import ID, Field, Form
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


def test_the_edits_hold_numbers_to_the_signs_that_the_writer_takes() -> None:
    element = Form([Field("value", "REF02", ID, 50)])
    signs = [f"A{chr(code)}1" for code in range(0x180)]
    assert [one for one in signs if forms.is_writable(one) != bool(element.fits(one.upper()))] == []
    forms_of_a_claim = (claim_forms.MEMBER, *claim_forms.TERMS, *claim_forms.NUMBERS, *claim_forms.SELDOM)
    numbers = {field.name for field in forms_of_a_claim if field.sort == ID} - {"clia"}  # which has a rule of its own
    assert numbers == {"member_id", "record_number", *people.REFERENCES}
    assert {field.name for field in claim_forms.SERVICE if field.sort == ID} == {"prior_authorization"}
    assert {field.name for field in claim_forms.OTHER_PAYER if field.sort == ID} == {
        "group_number", "member_id", "payer_identifier", "reference"
    }  # fmt: skip
