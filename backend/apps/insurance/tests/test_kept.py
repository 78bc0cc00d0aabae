"""What the database itself keeps: lines as the claim's codes say, bytes as they were sent, a ledger that only grows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from backend.apps.core.sealed import written
from backend.apps.insurance.models import BillingEntity, ClaimLine, InboundFile, InsuranceClaim, Posting, TradingPartner
from backend.apps.insurance.models.remittances import PostingKind
from backend.apps.insurance.tests.factories import make_claim
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db

LINE = {"code": "99213", "modifiers": ["25", "95"], "units": 2, "charge": "80.00", "diagnosis_pointers": [2, 1]}
DRUG = {
    "code": "J1885", "units": 1, "charge": "20.50", "diagnosis_pointers": [1], "service_date": "2026-01-05",
    "ndc": "00409379601", "ndc_quantity": "1.5", "ndc_unit": "ML", "place_of_service": "22", "is_emergency": True,
}  # fmt: skip


def lines(claim: InsuranceClaim) -> list[dict[str, Any]]:
    return list(ClaimLine.objects.filter(claim=claim).order_by("number").values())


def a_claim() -> InsuranceClaim:
    return make_claim(
        service_date=date(2026, 1, 4),
        diagnosis_codes=["E11.9", "I10"],
        procedure_codes=[LINE, DRUG],
        billed_amount=Decimal("100.50"),
    )


def test_a_claim_has_the_lines_its_codes_say() -> None:
    first, second = lines(a_claim())
    assert (first["code"], first["modifiers"], first["pointers"], first["charge"]) == ("99213", "25,95", "2,1", 80)
    assert (first["service_from"], first["units"], first["unit_basis"]) == (date(2026, 1, 4), 2, "UN")
    assert (second["service_from"], second["place_of_service"]) == (date(2026, 1, 5), "22")
    assert (second["ndc"], second["ndc_quantity"], second["ndc_unit"]) == ("00409379601", Decimal("1.5"), "ML")
    assert second["is_emergency"] is True


def test_lines_follow_the_codes_and_the_day_of_a_draft() -> None:
    claim = a_claim()
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        procedure_codes=[LINE], billed_amount=Decimal("80.00"), service_date=date(2026, 1, 3)
    )
    (line,) = lines(claim)
    assert (line["number"], line["service_from"]) == (1, date(2026, 1, 3))


def test_lines_stay_the_same_rows_when_something_else_changes() -> None:
    claim = a_claim()
    before = [line["id"] for line in lines(claim)]
    InsuranceClaim.objects.filter(pk=claim.pk).update(note="later")
    assert [line["id"] for line in lines(claim)] == before


def test_the_bytes_of_a_file_stay_as_they_came() -> None:
    partner = TradingPartner.objects.create(
        name="clearing", transport="folder", our_id="US", their_id="THEM", our_group_id="US", their_group_id="THEM",
        submitter_id="1", receiver_name="Clearing", receiver_id="2",
    )  # fmt: skip
    file = InboundFile.objects.create(
        partner=partner, name="a.999", size_bytes=3, sha256="0" * 64, content=b"ISA", dedupe_key="a"
    )
    InboundFile.objects.filter(pk=file.pk).update(kinds="999")
    with pytest.raises(IntegrityError), transaction.atomic():
        InboundFile.objects.filter(pk=file.pk).update(**written(InboundFile, file.pk, content=b"ISB"))
    assert bytes(InboundFile.objects.get(pk=file.pk).content) == b"ISA"


def test_the_ledger_only_grows() -> None:
    entry = Posting.objects.create(claim=a_claim(), kind=PostingKind.PAYMENT, amount=Decimal("10.00"), by=make_user())
    with pytest.raises(IntegrityError), transaction.atomic():
        Posting.objects.filter(pk=entry.pk).update(amount=Decimal("11.00"))
    with pytest.raises(IntegrityError), transaction.atomic():
        Posting.objects.filter(pk=entry.pk).delete()
    assert Posting.objects.get(pk=entry.pk).amount == Decimal("10.00")


def test_a_number_for_taxes_is_sealed_in_the_database() -> None:
    biller = BillingEntity.objects.create(
        name="DOE", first_name="JANE", npi="1234567893", tax_id="123456789", tax_id_type="SY", address_line1="1 Oak",
        city="Austin", state="TX", postal_code="78702-1234", contact_name="Jane Doe", contact_phone="+15125550100",
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT tax_id FROM insurance_billingentity WHERE id = %s", [biller.pk])
        (stored,) = cursor.fetchone()
    assert "123456789" not in stored
    assert BillingEntity.objects.get(pk=biller.pk).tax_id == "123456789"
