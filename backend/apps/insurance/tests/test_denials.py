"""Holds which refusals are on the list, under which next action, and what takes them off."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import denial_groups, denials
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.insurance.tests.factories import make_claim
from backend.apps.insurance.tests.inquiry_factories import make_posting
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for


def denied(**over: Any) -> InsuranceClaim:
    return make_claim(**{"status": "denied", "denial_reason": "As the codes say.", **over})


def paid(**over: Any) -> InsuranceClaim:
    return make_claim(**{"status": "paid", "paid_amount": Decimal(10), "payment_date": Clinic.today(), **over})


def listed(key: str = "") -> set[Any]:
    return {claim.pk for claim in denials.worklist(InsuranceClaim.objects.all(), key=key)}


@pytest.mark.parametrize(
    ("group", "reason", "remarks", "key"),
    [
        ("CO", "197", (), "authorization"),
        ("CO", "15", (), "authorization"),
        ("OA", "22", (), "other_payer_first"),
        ("CO", "29", (), "timely_filing"),
        ("CO", "16", (), "correct_and_resend"),
        ("CO", "16", ("N29",), "send_records"),
        ("CO", "16", ("M62", "N29"), "authorization"),
        ("CO", "252", (), "send_records"),
        ("CO", "18", (), "duplicate"),
        ("CO", "50", (), "medical_necessity"),
        ("CO", "97", (), "bundled"),
        ("CO", "27", (), "coverage"),
        ("PR", "27", (), "coverage"),
        ("CO", "96", (), "not_covered"),
        ("PR", "96", (), "bill_patient"),
        ("PR", "999", (), "bill_patient"),
        ("CO", "999", (), "read_reason"),
        ("CO", "45", (), None),
        ("CO", "253", (), None),
        ("OA", "23", (), None),
        ("PR", "1", (), None),
        ("PR", "3", ("N29",), None),
    ],
)
def test_each_code_has_its_next_action(group: str, reason: str, remarks: tuple[str, ...], key: str | None) -> None:
    found = denial_groups.of(group, reason, remarks)
    assert (found and found.key) == key


def test_no_code_stands_in_two_groups() -> None:
    reasons = [code for group in denial_groups.GROUPS for code in group.reasons]
    remarks = [code for group in denial_groups.GROUPS for code in group.remarks]
    assert len(reasons) == len(set(reasons))
    assert len(remarks) == len(set(remarks))
    assert not set(reasons) & denial_groups.NO_DENIAL


@pytest.mark.django_db
def test_the_database_sorts_codes_as_the_table_does() -> None:
    claim = denied()
    cases = [("CO", "16", ""), ("CO", "16", "N1,N29"), ("PR", "96", ""), ("PR", "27", ""), ("CO", "999", "MA130"),
             ("PR", "777", ""), ("OA", "109", "N290"), ("CO", "252", "")]  # fmt: skip
    for group, reason, remarks in cases:
        make_posting(claim, group, reason, "1.00", remarks=remarks)
    for row in denials._keyed():
        found = denial_groups.of(row.group, row.reason, filter(None, row.remarks.split(",")))
        assert found is not None
        assert row.key == found.key, (row.group, row.reason, row.remarks)


@pytest.mark.django_db
def test_on_the_list_are_denied_claims_and_paid_ones_with_a_part_refused() -> None:
    whole, part, share = denied(), paid(), paid()
    make_posting(part, "CO", "97", "25.00")
    make_posting(share, "CO", "45", "40.00")
    make_posting(share, "PR", "1", "20.00")
    make_claim(status="accepted")
    assert listed() == {whole.pk, part.pk}


@pytest.mark.django_db
def test_a_refusal_that_was_reversed_is_none() -> None:
    claim = paid()
    make_posting(claim, "CO", "97", "25.00")
    make_posting(claim, "CO", "97", "-25.00", is_reversal=True)
    assert listed() == set()


@pytest.mark.django_db
@pytest.mark.parametrize("remarks", ["N29", ""])
def test_of_a_decision_that_another_one_superseded_only_the_sums_that_stand_are_told(remarks: str) -> None:
    claim = paid()
    make_posting(claim, "CO", "16", "25.00", remarks="N29")
    make_posting(claim, "CO", "97", "40.00")
    make_posting(claim, "CO", "16", "-25.00", remarks=remarks, is_reversal=True)
    make_posting(claim, "CO", "97", "-40.00", is_reversal=True)
    make_posting(claim, "CO", "97", "15.00")
    (listed_claim,) = denials.worklist(InsuranceClaim.objects.all())
    assert listed_claim.denied_amount == Decimal("15.00")
    (refusal,) = denials.refusals([claim])[claim.pk]
    assert (refusal.key, refusal.amount) == ("bundled", Decimal("15.00"))
    (counted,) = denials.counts(InsuranceClaim.objects.all())
    assert (counted.key, counted.amount) == ("bundled", Decimal("15.00"))
    assert (listed("bundled"), listed("send_records"), listed("correct_and_resend")) == ({claim.pk}, set(), set())


@pytest.mark.django_db
def test_what_is_taken_back_after_a_person_closed_a_refusal_is_no_later_refusal() -> None:
    claim = paid()
    make_posting(claim, "CO", "97", "40.00")
    make_posting(claim, "CO", "50", "10.00")
    denials.close_denial(claim, by=None, reason="Written off.")
    make_posting(claim, "CO", "97", "-40.00", is_reversal=True)
    assert listed() == set()


@pytest.mark.django_db
def test_groups_are_counted_with_their_claims_and_money_the_most_money_first() -> None:
    one, two, bare = denied(), denied(), denied()
    make_posting(one, "CO", "197", "100.00")
    make_posting(one, "CO", "97", "50.00")
    make_posting(two, "CO", "15", "150.00")
    counted = [(row.key, row.claims, row.amount) for row in denials.counts(InsuranceClaim.objects.all())]
    assert counted == [
        ("authorization", 2, Decimal("250.00")),
        ("read_reason", 1, bare.billed_amount),
        ("bundled", 1, Decimal("50.00")),
    ]
    assert listed("authorization") == {one.pk, two.pk}
    assert listed("bundled") == {one.pk}
    assert listed("read_reason") == {bare.pk}


@pytest.mark.django_db
def test_what_a_person_closes_is_off_the_list_until_a_later_refusal() -> None:
    claim = denied()
    make_posting(claim, "CO", "50", "150.00")
    with pytest.raises(DomainError, match="Say why"):
        denials.close_denial(claim, by=None, reason=" ")
    denials.close_denial(claim, by=None, reason="Written off.")
    assert listed() == set()
    with pytest.raises(DomainError, match="not on the list"):
        denials.close_denial(claim, by=None, reason="Again.")
    make_posting(claim, "CO", "29", "10.00")
    assert listed() == {claim.pk}


@pytest.mark.django_db
def test_an_appeal_and_a_correction_take_a_claim_off_the_list() -> None:
    appealed, corrected = denied(), denied()
    appealed.appeal()
    make_claim(original=corrected, frequency="7")
    assert listed() == set()


@pytest.mark.django_db
def test_the_desk_reads_the_list_with_what_to_do_and_closes_a_refusal() -> None:
    desk = client_for(make_user(role="receptionist"))
    claim = denied(response_date=Clinic.today() - timedelta(days=3))
    make_posting(claim, "CO", "97", "50.00")
    make_posting(claim, "CO", "197", "100.00", remarks="N1")
    row = desk.get("/api/v1/insurance-claims/denials/").data["results"][0]
    assert (row["denied_amount"], row["age_days"]) == ("150.00", 3)
    assert row["next_action"] == denial_groups.BY_KEY["authorization"].action
    assert [(one["reason"], one["remarks"], one["key"]) for one in row["refusals"]] == [
        ("197", ["N1"], "authorization"),
        ("97", [], "bundled"),
    ]
    groups = desk.get("/api/v1/insurance-claims/denial_groups/").data
    assert [group["key"] for group in groups] == ["authorization", "bundled"]
    assert desk.get("/api/v1/insurance-claims/denials/?group=bundled").data["results"][0]["id"] == str(claim.pk)
    assert desk.get("/api/v1/insurance-claims/denials/?group=duplicate").data["results"] == []
    assert desk.get("/api/v1/insurance-claims/denials/?group=nonsense").status_code == 400
    assert desk.get("/api/v1/insurance-claims/denials/?no_such=1").status_code == 400
    url = f"/api/v1/insurance-claims/{claim.pk}/close_denial/"
    assert desk.post(url, {"reason": "Written off."}, format="json").status_code == 200
    assert desk.get("/api/v1/insurance-claims/denials/").data["results"] == []
