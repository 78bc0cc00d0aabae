"""Holds that money at the bank and remittances find each other, once, and that nobody guesses."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import deposits
from backend.apps.insurance.models import Deposit
from backend.apps.insurance.tests.inquiry_factories import make_deposit, make_remittance

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("bank", "payer"),
    [("EFT12345", "EFT12345"), ("0000123", "123"), ("123", "000 123 "), ("eft-1", "EFT1"), ("E 12", "E12")],
)
def test_zeros_blanks_and_hyphens_of_a_trace_do_not_count(bank: str, payer: str) -> None:
    remittance = make_remittance(trace=payer)
    made = deposits.record(by=None, trace=bank, amount=Decimal("100.00"), received_on=Clinic.today())
    assert made.remittance == remittance
    assert made.matched_at is not None


def test_another_amount_or_trace_or_a_far_day_is_no_match() -> None:
    today = Clinic.today()
    make_remittance(trace="A1", amount=Decimal("99.99"))
    make_remittance(trace="A2")
    make_remittance(trace="A3", paid_on=today - timedelta(days=61))
    make_remittance(trace="A4", status="quarantined")
    for trace in ("A1", "B2", "A3", "A4"):
        assert deposits.record(by=None, trace=trace, amount=Decimal("100.00"), received_on=today).remittance is None


def test_where_two_fit_none_is_taken() -> None:
    make_remittance(trace="77", payer_identifier="1")
    make_remittance(trace="0077", payer_identifier="2")
    make_deposit(trace="77")
    assert deposits.match_all() == 0


def test_a_remittance_that_comes_after_its_deposit_is_found_once() -> None:
    deposit = make_deposit(trace="T1")
    assert deposits.match_all() == 0
    remittance = make_remittance(trace="T1")
    assert (deposits.match_all(), deposits.match_all()) == (1, 0)
    deposit.refresh_from_db()
    assert deposit.remittance == remittance


def test_what_has_no_counterpart_is_listed_both_ways() -> None:
    lonely, explained = make_deposit(trace="X"), make_remittance(trace="Y")
    make_remittance(method="NON")
    make_remittance(amount=Decimal(0))
    make_deposit(remittance=make_remittance())
    deposits.match_all()
    assert list(Deposit.objects.filter(remittance=None)) == [lonely]
    assert list(deposits.without_deposit()) == [explained]


def test_a_person_matches_by_hand_the_same_amount_only_and_takes_it_back() -> None:
    deposit, remittance = make_deposit(trace="X"), make_remittance(trace="Y")
    with pytest.raises(DomainError, match="same amount"):
        deposits.match(deposit, by=None, remittance=make_remittance(amount=Decimal("1.00")))
    assert deposits.match(deposit, by=None, remittance=remittance).remittance == remittance
    with pytest.raises(DomainError, match="already"):
        deposits.match(deposit, by=None, remittance=remittance)
    with pytest.raises(DomainError, match="Another deposit"):
        deposits.match(make_deposit(), by=None, remittance=remittance)
    with pytest.raises(DomainError, match="take the match back"):
        deposits.change_deposit(deposit, by=None, amount=Decimal("2.00"))
    assert deposits.unmatch(deposit, by=None).remittance is None


def test_a_match_that_a_person_took_back_is_not_made_again_until_the_deposit_is_corrected() -> None:
    remittance = make_remittance(trace="T1")
    deposit = deposits.record(by=None, trace="T1", amount=remittance.amount, received_on=Clinic.today())
    assert deposits.unmatch(deposit, by=None).remittance is None
    assert deposits.match_all() == 0
    other = make_deposit(trace="T1", received_on=Clinic.today() - timedelta(days=1))
    assert deposits.match_all() == 1  # the remittance itself is free
    other.refresh_from_db()
    assert deposits.unmatch(other, by=None).remittance is None
    corrected = deposits.change_deposit(deposit, by=None, trace="t-1")
    assert corrected.remittance == remittance


@pytest.mark.parametrize("amount", ["0.00", "-5.00"])
def test_a_deposit_of_nothing_or_less_is_refused(amount: str) -> None:
    with pytest.raises(DomainError, match="above zero"):
        deposits.record(by=None, trace="T1", amount=Decimal(amount), received_on=Clinic.today())
    with pytest.raises(DomainError, match="above zero"):
        deposits.change_deposit(make_deposit(), by=None, amount=Decimal(amount))
    assert Deposit.objects.get().amount == Decimal("100.00")


@pytest.mark.parametrize(
    ("written", "amount"),
    [("1,250.00", "1250.00"), ("$1,250", "1250.00"), ("1,234,567.8", "1234567.80"), ("12,50", None),
     ("1,25", None), ("1,250,0", None), ("0,125", None), (",5", None), ("1.250,00", None), ("99,999,999,999", None)],
)  # fmt: skip
def test_a_comma_in_an_amount_parts_thousands_or_the_row_is_refused(written: str, amount: str | None) -> None:
    text = f'trace,amount,received_on\nT1,"{written}",{Clinic.today()}\n'
    (row,) = deposits.bring_in(text, by=None)
    found = Deposit.objects.values_list("amount", flat=True).first()
    assert (row.outcome, found) == (("added", Decimal(amount)) if amount else ("refused", None))
    assert amount or row.reason.startswith("The ")


def test_each_row_of_a_file_has_its_outcome_and_the_file_may_come_twice() -> None:
    day = Clinic.today()
    make_deposit(trace="OLD", received_on=day)
    text = (
        "\ufeffReceived_On, Trace ,amount,note\r\n"
        f'{day},T1,"$1,234.50",x\r\n'
        f"{day},OLD,100.00,\r\n"
        f"{day},T1,1234.50,\r\n"
        "\r\n"
        f"{day},T2,12.345,\r\n"
        "31/03/2026,T3,1,\r\n"
        f"{day},,1,\r\n"
        f"{day},T4,0,\r\n"
        f"{day + timedelta(days=1)},T5,1,\r\n"
        f"{day},T6\r\n"
    )
    told = [(row.row, row.outcome) for row in deposits.bring_in(text, by=None)]
    assert told == [
        (2, "added"), (3, "known"), (4, "known"), (6, "refused"), (7, "refused"), (8, "refused"), (9, "refused"),
        (10, "refused"), (11, "refused"),
    ]  # fmt: skip
    assert Deposit.objects.get(trace="T1").amount == Decimal("1234.50")
    assert deposits.bring_in(text, by=None)[0].outcome == "known"
    assert Deposit.objects.count() == 2


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "trace,amount\n1,2\n", '"' + "x" * 200_000])
def test_a_file_without_its_columns_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(DomainError):
        deposits.bring_in(text, by=None)
