"""Proves of each edit what it finds and what it lets be, and that nothing of a patient stands in a finding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from backend.apps.insurance import edits
from backend.apps.insurance.code_sets import Known
from backend.apps.insurance.edits import REGISTRY, Finding, Severity
from backend.apps.insurance.tests import edit_examples_parties, edit_examples_services
from backend.apps.insurance.tests.edit_case import BASE, MEDICARE, Changes, Example, case, known, line, split

ACROSS = (line(charge="62.50", from_on="20260930", pointers="1"), line(number="2", charge="62.50", pointers="2"))
EXAMPLES: Mapping[str, Example] = {**edit_examples_parties.EXAMPLES, **edit_examples_services.EXAMPLES}
RULES = {rule.id: rule for rule in REGISTRY}


def found(changes: Changes) -> list[Finding]:
    claims, context = case(changes)
    return [finding for findings in edits.scrub(claims, context).values() for finding in findings]


def test_the_claim_of_the_examples_has_no_fault() -> None:
    assert found({}) == []
    assert found({"secondary": True}) == []


def test_each_edit_has_a_name_of_its_own_and_an_example_each_way() -> None:
    assert len(RULES) == len(REGISTRY)
    assert set(EXAMPLES) == set(RULES)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_an_edit_finds_what_breaks_it_and_lets_its_neighbour_be(rule: str) -> None:
    example = EXAMPLES[rule]
    mine = [finding for finding in found(example.breaks) if finding.rule == rule]
    assert [finding.severity for finding in mine] == [RULES[rule].severity] * len(mine) != []
    right = found(example.stands)
    assert rule not in {finding.rule for finding in right}
    assert edits.is_clean(right), right


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_message_is_a_sentence_that_holds_no_value(rule: str) -> None:
    message = RULES[rule].message
    assert message.endswith(".")
    assert len(message) <= 100
    values = {value for part in BASE.values() for value in part if isinstance(value, str) and len(value) > 3}
    assert not values & set(re.findall(r"\w+", message))


def test_a_path_names_the_line_by_its_number_and_the_part_by_its_role() -> None:
    second = line(number="2", charge="62.50", code="36415", units="0")
    paths = {one.path for one in found({"lines": (line(charge="62.50"), second)})}
    assert paths == {"lines[2].units"}
    both = {"claim.referring": "d", "provider.npi": "", "lines": (line(rendering="d"),)}
    assert {one.path for one in found(both)} == {"rendering.npi", "referring.npi", "lines[1].rendering.npi"}
    assert {one.path for one in found({"secondary": True, "other.payer_name": ""})} == {"other_payers[P].payer"}
    assert {one.path for one in found({"billing.npi": ""})} == {"billing.npi"}


def test_a_fault_of_a_part_is_found_in_each_claim_that_names_it_and_in_no_other() -> None:
    (claim,), context = case({"facility.name": ""})
    others = [claim._replace(id=name, facility=facility) for name, facility in (("c2", "f"), ("c3", ""))]
    later = [other._replace(patient=other.id, coverage=other.id) for other in others]
    assert set(edits.scrub([claim, *later], context)) == {"c", "c2"}


def test_of_two_equal_claims_going_out_together_the_second_stays() -> None:
    claims, context = case({"beside": {}})
    assert {claim: [one.rule for one in said] for claim, said in edits.scrub(claims, context).items()} == {
        "c2": ["billed-beside"]
    }


@pytest.mark.parametrize(
    ("beside", "stays"),
    [
        ({"coverage": "v2"}, True),  # recorded once more, to the same payer
        ({"coverage": "v2", "sequence": "S", "is_secondary": "Y"}, False),
        ({"coverage": "v2", "payer": "p2"}, False),
        ({"patient": "w2", "coverage": "v2"}, False),
        ({"secondary_to": "c"}, False),
    ],
)
def test_claims_are_equal_by_patient_payer_and_place_whatever_the_coverage(beside: Any, stays: bool) -> None:
    claims, context = case({"beside": beside})
    assert ("billed-beside" in {one.rule for one in edits.scrub(claims, context).get("c2", [])}) is stays


def test_a_correction_goes_out_before_a_claim_that_bills_its_services_anew() -> None:
    claims, context = case({"beside": {"frequency": "7", "original_reference": "ICN1"}})
    assert {claim: [one.rule for one in said] for claim, said in edits.scrub(claims, context).items()} == {
        "c": ["billed-beside"]
    }


def test_equal_services_are_equal_in_whatever_order_their_modifiers_stand() -> None:
    other = {"lines": (line(modifiers="57,25"),)}
    assert [one.rule for one in found({"line.modifiers": "25,57", "beside": other})] == ["billed-beside"]
    lines = (line(charge="62.50", modifiers="25,57"), line(number="2", charge="62.50", modifiers="57,25"))
    assert [one.rule for one in found({"lines": lines})] == ["procedure-repeated"]


@pytest.mark.parametrize(("other", "rules"), [("59", ["billed-once-more"]), ("76", []), ("XS", []), ("59,25", [])])
def test_the_same_claim_with_the_same_modifier_that_says_once_more_is_warned_of(other: str, rules: list[str]) -> None:
    beside = {"lines": (line(modifiers=other),)}
    assert [one.rule for one in found({"line.modifiers": "59", "beside": beside})] == rules


ONCE = ((("20200101", "20261028"),),)
TWICE = ((("20261027", "20261027"), ("20261028", "20271231"), ("20200101", "20261024")),)


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"provider.entitled": ()}, []),  # nothing is needed
        ({"provider.entitled": ((),)}, ["lines[1].rendering"]),  # and here nothing is had
        ({"provider.entitled": (*ONCE, ())}, ["lines[1].rendering"]),  # of two that are needed one
        ({"provider.entitled": ONCE, "lines": (line(to_on="20261029"),)}, ["lines[1].rendering"]),
        (
            {
                "provider.entitled": ONCE,
                "lines": (line(charge="62.50"), line(number="2", charge="62.50", code="36415")),
            },
            [],
        ),
        ({"provider.entitled": ((),), "claim.rendering": "", "lines": (line(rendering="d"),)}, ["lines[1].rendering"]),
        ({"provider.entitled": ((),), "claim.rendering": ""}, []),  # who bills gave the service
        ({"provider.entitled": ((),), "claim.rendering": "", "billing.doctor": "d"}, ["lines[1].rendering"]),
        ({"provider.entitled": TWICE, "lines": (line(from_on="20261024"),)}, []),
        ({"provider.entitled": TWICE, "lines": (line(from_on="20261024", to_on="20261027"),)}, ["lines[1].rendering"]),
        ({"provider.entitled": TWICE, "lines": (line(from_on="20261027", to_on="20261029"),)}, []),
    ],
    ids=(
        "nothing needed",
        "nothing had",
        "one of two",
        "ended within",
        "each line",
        "of a line",
        "nobody named",
        "who bills in person",
        "before the gap",
        "over the gap",
        "of two that join",
    ),
)
def test_a_line_is_held_against_the_days_on_which_its_doctor_had_a_licence(changes: Changes, paths: list[str]) -> None:
    assert [one.path for one in found(changes) if one.rule == "rendering-not-entitled"] == paths


def test_a_clinic_without_code_lists_is_held_to_the_shape_of_codes_only() -> None:
    assert found({"claim.diagnoses": "E11999,I10", "line.code": "99299"}) == []


def test_a_day_before_the_first_edition_is_held_to_the_shape_only() -> None:
    early = {"claim.coverage_from": "20200101", "claim.service_on": "20250901", "lines": (line(from_on="20250901"),)}
    codes = {"icd10cm": {"A00": Known()}}
    assert [one.rule for one in found({**early, "codes": codes, "plan.filing_days": 0})] == []


ELSEWHERE = {"claim.coverage_from": "20250101"}


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        # by the days of the lines, not the claim's
        (
            {"lines": (line(), line(number="2", code="36415", charge="0.00", from_on="20260401"))},
            ["charge-not-positive", "filing-late"],
        ),
        ({"claim.service_on": "20250101"}, []),
        (
            {"plan.filing_days": 180, "lines": (line(from_on=""),)},
            ["coverage-begins-later", "service-day-missing", "service-before-birth"],
        ),
        # a diagnosis on the days of the lines that point to it
        (
            {
                "lines": ACROSS,
                **ELSEWHERE,
                "plan.filing_days": 0,
                "codes": {"icd10cm": {"E119": Known(last="20260930"), "I10": Known()}},
            },
            [],
        ),
        (
            {
                "lines": ACROSS,
                **ELSEWHERE,
                "plan.filing_days": 0,
                "codes": {"icd10cm": {"E119": Known(), "I10": Known(last="20260930")}},
            },
            ["diagnosis-not-valid"],
        ),
        # a shape that only the list knows
        ({"claim.diagnoses": "Q-1,I10", "codes": {"icd10cm": {"Q-1": Known(), "I10": Known()}}}, []),
        ({"claim.diagnoses": "QA00101,I10"}, []),
        # KX says that a service is meant
        ({"line.code": "55700", "line.modifiers": "KX", "codes": {"cpt": known("55700", sex="M")}}, []),
        # units by the line or the day
        ({**MEDICARE, "lines": split("2", "2"), "codes": {"mue": known("99213", most_units=3, indicator="1")}}, []),
        ({"lines": split("2", "2"), "codes": {"mue": known("99213", most_units=3)}}, ["units-unusual"] * 2),
        (
            {**MEDICARE, "line.units": "4", "codes": {"mue": known("99213", most_units=3, indicator="3")}},
            ["units-unusual"],
        ),
        # lists of the clinic's own
        ({"codes": {"pos": {"12": Known()}}}, ["place-unknown"]),
        ({"claim.place_of_service": "98", "codes": {"pos": {"98": Known()}}}, []),
        ({"codes": {"taxonomy": {"207R00000X": Known()}}}, ["billing-taxonomy"]),
        # a holder's address is written whole or not at all
        ({"claim.holder_line1": "X", "claim.holder_state": "??"}, []),
        (
            {**{f"claim.holder_{name}": "X" for name in ("line1", "city", "state", "postal_code")}},
            ["patient-state", "patient-zip"],
        ),
        # a service that costs nothing beside one that costs something
        ({"lines": (line(), line(number="2", code="0001F", charge="0.00"))}, ["charge-not-positive"]),
        ({"payer.member_id_pattern": "(W+)+[0-9]{99}"}, []),
    ],
)
def test_what_edits_say_of(changes: Changes, rules: list[str]) -> None:
    assert [one.rule for one in found(changes)] == rules


# What a payer would have decided on: no reason to keep a claim that takes it all back.
DECIDED = (
    "billed-before", "coverage-begins-later", "coverage-deleted", "coverage-ended", "diagnosis-age",
    "diagnosis-not-valid", "diagnosis-sex", "filing-late", "procedure-age", "procedure-not-valid", "procedure-sex",
    "rendering-excluded", "rendering-not-entitled", "units-too-many",
)  # fmt: skip


@pytest.mark.parametrize("rule", DECIDED)
def test_a_claim_that_takes_another_back_is_not_held_against_what_the_payer_decides(rule: str) -> None:
    back = {"claim.frequency": "8", "claim.original_reference": "ICN1"}
    assert found({**EXAMPLES[rule].breaks, **back}) == []


@pytest.mark.parametrize("rule", ["billing-npi", "member-id-missing", "charge-form", "total-not-sum", "procedure-form"])
def test_the_file_of_a_claim_that_takes_another_back_must_be_right(rule: str) -> None:
    back = {"claim.frequency": "8", "claim.original_reference": "ICN1"}
    assert rule in {one.rule for one in found({**EXAMPLES[rule].breaks, **back})}
    (claim,), context = case({"claim.frequency": "8"})
    others = [claim._replace(id="c2", frequency="1", coverage_to="20261027", patient="w2", coverage="v2")]
    assert {key: [one.rule for one in said] for key, said in edits.scrub([claim, *others], context).items()} == {
        "c": ["original-reference-missing"],
        "c2": ["coverage-ended"],
    }


# Faults as they happen at a desk, each with the edit that has to name it.
SEEDED: tuple[tuple[str, Changes], ...] = tuple((rule, example.breaks) for rule, example in EXAMPLES.items())


def test_every_seeded_defect_is_refused_by_the_right_rule_and_no_other_kind_of_claim() -> None:
    errors = [(rule, changes) for rule, changes in SEEDED if RULES[rule].severity == Severity.ERROR]
    assert len(errors) >= 69
    assert [rule for rule, changes in errors if rule not in {one.rule for one in found(changes)}] == []
    assert [rule for rule, changes in errors if edits.is_clean(found(changes))] == []
