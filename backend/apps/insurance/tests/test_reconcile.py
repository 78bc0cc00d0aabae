"""Tampers with claims, files and money behind the database's back; each trick must be found, and honest books agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from backend.apps.core.ledger import Account, Books
from backend.apps.insurance import reconcile, services
from backend.apps.insurance.models import InsuranceClaim, Posting, Remittance, Stage, TradingPartner
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, partner
from backend.apps.insurance.tests.sent_claims import (
    answered,
    inbound_file,
    moved,
    paid,
    queued,
    remittance,
    sent_file,
    told_claim,
)
from backend.apps.laboratory.tests.test_reconcile import behind_the_back
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
MINUTES = timedelta(minutes=5)
LONG_AGO = "2024-01-31"
TRICKS = (  # table, what an intruder or a bad restore changes there, the check that finds it
    ("interchange", "content = 'x'::bytea", "bytes sent"),
    ("interchange", "sha256 = repeat('0', 64)", "bytes sent"),
    ("inboundfile", "content = 'x'::bytea", "bytes received"),
    ("inboundfile", "status = 'received'", "file left behind"),
    ("submission", "status = CASE WHEN status = 'sent' THEN 'batched' ELSE status END", "sent and not sent"),
    ("interchange", "status = 'ready'", "sent and not sent"),
    ("interchange", "sent_at = NULL WHERE status = 'sent'", "answer to a file"),
    ("interchange", "status = 'acknowledged' WHERE status = 'sent'", "answer to a file"),
    ("interchange", "status = 'rejected' WHERE status = 'sent'", "answer to a file"),
    ("interchange", "interchange_number = interchange_number + 100", "number of a file"),
    ("interchange", "items = items + 1", "claims in a file"),
    ("submission", "status = 'accepted' WHERE status = 'sent'", "nobody said so"),
    ("submission", "status = 'rejected' WHERE status = 'sent'", "nobody said so"),
    ("submission", "status = 'adjudicated' WHERE status = 'accepted'", "nobody said so"),
    ("insuranceclaim", "status = 'draft'", "claim left behind"),
    ("insuranceclaim", "paid_amount = 99.99", "paid"),
    ("insuranceclaim", "patient_responsibility = 1", "patient's share"),
    ("posting", "amount = amount + 0.01", "posted"),
    (
        "posting",
        "claim_id = (SELECT id FROM insurance_insuranceclaim WHERE status = 'accepted')",
        "posted by nobody",
    ),
    ("remittance", "amount = amount + 0.01", "remittance"),
    ("remittance", "claims_count = 2", "claims of a remittance"),
    ("remittanceclaim", "state = 'unmatched'", "posted by nobody"),
)


def books() -> Books:
    return reconcile.claims(None, None, settle=MINUTES)


def faults() -> dict[str, int]:
    return {fault.check: fault.count for fault in books().faults}


def account(name: str) -> Account:
    return next(each for each in books().accounts if each.name == name)


def a_story() -> tuple[TradingPartner, list[InsuranceClaim]]:
    """Save five claims of one payer at one partner: queued, waiting in a file, silent, accepted, paid."""
    north, coverage = partner(name="North"), make_patient_insurance()
    claims = [make_claim(patient_insurance=coverage) for _ in range(5)]
    queued(north, claims[0])
    sent_file(north, claims[1], state="batched")
    sent_file(north, moved(claims[2], "submitted"))
    sent_file(north, moved(claims[3], "accepted"), state="accepted", acknowledged_at=timezone.now())
    answered(claims[3], Stage.CLEARINGHOUSE, "A2")
    sent_file(north, moved(claims[4], "accepted"), state="adjudicated", acknowledged_at=timezone.now())
    paid(claims[4], remittance(north))
    return north, claims


@contextmanager
def undone() -> Iterator[None]:
    """Take back what is done inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def change(table: str, what: str) -> None:
    with behind_the_back() as cursor:
        cursor.execute(f"UPDATE insurance_{table} SET {what}")  # noqa: S608  # ours


def remove(table: str, where: str = "true") -> None:
    with behind_the_back() as cursor:
        cursor.execute(f"DELETE FROM insurance_{table} WHERE {where}")  # noqa: S608  # ours


def test_honest_books_agree_per_partner_and_payer() -> None:
    a_story()
    found = books()
    assert found.agree, found.faults
    expected = {"acked": 2, "awaiting": 2, "rejected": 0, "again": 0, "withdrawn": 0}
    for name in ("to North", "for Example Health"):
        counted = account(name)
        assert (counted.taken_in, counted.outcomes, counted.in_line) == (5, expected, 1)
    assert account("files from North").outcomes["applied"] == 2
    assert account("claims written").outcomes == {"on file": 5}
    assert found.waiting_since is not None


def test_a_submission_that_is_gone_is_missed_because_the_file_still_holds_the_claim() -> None:
    a_story()
    remove("submission", "status = 'accepted'")
    assert faults() == {"claims in a file": 1, "submissions: gone": 1}
    assert account("to North").unexplained == account("submissions written").unexplained == 1
    assert account("for Example Health").unexplained == 1


def test_a_claim_that_was_paid_before_there_was_a_ledger_is_counted_by_itself() -> None:
    a_story()
    assert "paid before the ledger" not in {each.name for each in books().accounts}
    old = moved(make_claim(), "paid", paid_amount="80.00", patient_responsibility="5.00", payment_date=LONG_AGO)
    assert faults() == {"paid": 1, "patient's share": 1}
    InsuranceClaim.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=900))
    assert faults() == {}
    found = account("paid before the ledger")
    assert (found.taken_in, found.unexplained) == (1, 0)
    InsuranceClaim.objects.filter(pk=old.pk).update(payment_date=timezone.now() + timedelta(days=2))
    assert faults() == {"paid": 1, "patient's share": 1}


def test_a_submission_put_into_a_file_that_does_not_hold_the_claim_is_found() -> None:
    a_story()
    change("submission", "claim_control_number = 'ANOTHER' WHERE status = 'sent'")
    assert faults() == {"claims in a file": 1}


def test_a_file_that_is_gone_leaves_a_gap_in_the_numbers() -> None:
    a_story()
    remove("interchange", "interchange_number = 2")
    found = faults()
    assert found["numbers"] == 1
    assert found["files to partners: gone"] == 1
    assert account("to North").unexplained == -1


def test_a_row_that_is_gone_is_missed_though_nothing_else_tells_of_it() -> None:
    gone, _ = make_claim(), make_claim()
    assert books().agree
    remove("insuranceclaim", f"id = '{gone.pk}'")
    remove("inboundfile", f"id = '{inbound_file(partner()).pk}'")
    assert faults() == {"claims: gone": 1, "files from partners: gone": 1}


def test_the_last_file_that_is_gone_is_missed_too() -> None:
    a_story()
    remove("interchange", "interchange_number = 4")
    assert faults()["numbers"] == 1


def test_what_was_changed_behind_our_back_is_found() -> None:
    a_story()
    found = {}
    for table, what, check in TRICKS:
        with undone():
            change(table, what)
            found[table, what] = check if check in faults() else faults()
    assert found == {(table, what): check for table, what, check in TRICKS}


@pytest.mark.parametrize(
    ("table", "check"), [("inboundfile", "state of a file"), ("submission", "state of a submission")]
)
def test_a_state_that_nobody_counts_is_found(table: str, check: str) -> None:
    a_story()
    with behind_the_back() as cursor:
        cursor.execute(f"ALTER TABLE insurance_{table} DROP CONSTRAINT insurance_{table}_status_known")
    change(table, "status = 'lost' WHERE status IN ('applied', 'accepted')")
    assert check in faults()
    assert any(each.unexplained for each in books().accounts if each.name.startswith("to ")) == (table == "submission")


def test_a_ledger_that_lost_an_entry_is_missed_by_the_claim_and_by_the_payment() -> None:
    a_story()
    remove("posting")
    assert faults() == {"paid": 1, "posted": 1}


def test_a_second_submission_on_its_way_is_found() -> None:
    north, claims = a_story()
    with behind_the_back() as cursor:
        cursor.execute("DROP INDEX insurance_submission_one_live")
        queued(north, claims[3])
    assert faults()["two on their way"] == 2


def test_a_payment_whose_adjustments_do_not_add_up_is_found() -> None:
    north = partner()
    claim = moved(make_claim(), "accepted")
    payment = remittance(north, amount="90.00")
    told_claim(payment, claim, paid="100.00")
    moved(claim, "paid", paid_amount="100.00", payment_date=claim.service_date)
    payment.provider_adjustments.create(number=1, reason="WO", amount="10.00")
    assert faults() == {}
    payment.provider_adjustments.update(amount="10.01")
    assert faults() == {"remittance": 1}


def test_what_a_payer_refused_by_phone_is_no_fault_but_what_nobody_refused_is() -> None:
    desk, north = make_user("receptionist"), partner()
    claim = moved(make_claim(), "submitted")
    sent_file(north, claim)
    services.reject(claim, by=desk, reason="Refused by phone.")
    assert faults() == {}
    services.reopen(claim, by=desk)
    assert claim.submissions.get().status == "rejected"
    assert faults() == {}
    change("submission", "status_reason = 'Refused.'")
    assert faults() == {"nobody said so": 1}


@pytest.mark.parametrize(
    ("table", "what", "found"),
    [
        ("posting", "amount = amount + 0.01", {"paid", "posted"}),
        ("insuranceclaim", "patient_responsibility = 1, updated_at = now() WHERE status = 'paid'", {"patient's share"}),
        ("remittance", "amount = amount + 0.01, claims_count = 2, updated_at = now()",
         {"remittance", "claims of a remittance"}),
        ("remittanceclaim", "paid = paid + 0.01", {"posted"}),
    ],
    ids=["the ledger", "the claim", "the payment", "its claim"],
)  # fmt: skip
def test_money_is_looked_at_when_it_moved_however_old_its_claim_is(table: str, what: str, found: set[str]) -> None:
    a_story()
    long_ago = timezone.now() - timedelta(days=40)
    for model in (InsuranceClaim, Remittance):
        model.objects.update(created_at=long_ago, updated_at=long_ago)
    change(table, what)
    books = reconcile.claims(timezone.now() - timedelta(days=8), None, settle=MINUTES)
    assert found <= {fault.check for fault in books.faults}


def test_what_waits_too_long_is_a_fault_unless_its_partner_is_paused() -> None:
    north = partner()
    long_ago = timezone.now() - timedelta(hours=2)
    queued(north, make_claim(), queued_at=long_ago)
    sent_file(north, make_claim(), state="batched", due_at=long_ago)
    inbound_file(north, status="received", work_state="waiting", received_at=long_ago)
    assert faults() == {"claims in line": 1, "files to send": 1, "files in line": 1}
    TradingPartner.objects.update(paused_at=long_ago)
    assert faults() == {"files in line": 1}


def test_a_range_holds_what_was_given_in_it() -> None:
    a_story()
    assert reconcile.claims(None, timezone.now() - timedelta(days=1), settle=MINUTES).accounts == []
    later = reconcile.claims(timezone.now() - timedelta(days=1), None, settle=MINUTES)
    assert later.agree
    assert [each.taken_in for each in later.accounts][:3] == [5, 5, 2]


def test_the_command_prints_the_books_and_fails_when_they_do_not_agree() -> None:
    a_story()
    told = StringIO()
    call_command("reconcile", "--part", "claims", stdout=told)
    assert "Everything agrees, to the row." in told.getvalue()
    remove("submission", "status = 'accepted'")
    with pytest.raises(CommandError, match="do not agree"):
        call_command("reconcile", "--part", "claims", "--json", stdout=(told := StringIO()))
    (part,) = json.loads(told.getvalue())
    assert part["faults"][0]["check"] == "claims in a file"
    assert Posting.objects.count() == 1
