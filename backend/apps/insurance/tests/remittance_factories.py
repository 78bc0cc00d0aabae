"""Saves remittances and what they hold for tests of their resources."""

from __future__ import annotations

import itertools
import uuid
from decimal import Decimal
from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.insurance.models import (
    InboundFile,
    InsuranceClaim,
    Posting,
    ProviderAdjustment,
    Remittance,
    RemittanceClaim,
)
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, partner
from backend.apps.insurance.tests.sent_claims import inbound_file, moved, numbered

_numbers = itertools.count(1)
CONTENT: dict[str, Any] = {
    "segment": 20,
    "adjustments": [],
    "remarks": [],
    "lines": [
        {
            "code": "99213", "charge": "150.00", "paid": "100.00", "original": "", "day": "", "number": "",
            "adjustments": [["CO", "45", "30.00"], ["PR", "2", "20.00"]], "remarks": ["N130"],
        }
    ],
}  # fmt: skip


def make_inbound_file(**over: Any) -> InboundFile:
    return inbound_file(over.pop("partner", None) or partner(), **over)


def make_remittance(**over: Any) -> Remittance:
    over.setdefault("file", None)
    file = over.pop("file") or make_inbound_file()
    usual = {
        "partner": file.partner, "transaction_number": "0001", "payer_identifier": "1512345678",
        "payer_name": "SAMPLE PAYER",
        "trace": f"EFT-{next(_numbers)}-{uuid.uuid4().hex[:6]}", "paid_on": Clinic.today(),
        "amount": Decimal(100), "method": "ACH", "claims_count": 1, "status": "posted",
    }  # fmt: skip
    return Remittance.objects.create(file=file, **{**usual, **over})


def make_remittance_claim(**over: Any) -> RemittanceClaim:
    """Save a claim of an 835 that nobody has found yet: 150 billed, 100 paid, 20 left to the patient."""
    remittance = over.pop("remittance", None) or make_remittance(status="partly")
    usual = {
        "number": next(_numbers), "claim_control_number": "UNKNOWN", "status_code": "1", "charge": Decimal(150),
        "paid": Decimal(100), "patient_responsibility": Decimal(20), "payer_claim_number": "ICN1",
        "member_id": "W123456789", "service_on": Clinic.today(), "content": CONTENT, "state": "unmatched",
        "reason": "No claim of ours has this number.",
    }  # fmt: skip
    return RemittanceClaim.objects.create(remittance=remittance, **{**usual, **over})


def make_sent_claim(patient: Any = None, **over: Any) -> InsuranceClaim:
    coverage = make_patient_insurance(patient=patient)
    return moved(numbered(make_claim(patient_insurance=coverage, **over)), "submitted")


def make_posting(patient: Any = None, **over: Any) -> Posting:
    claim = over.pop("claim", None) or make_sent_claim(patient)
    told = over.pop("remittance_claim", None) or make_remittance_claim(claim=claim, state="posted")
    usual = {"kind": "payment", "amount": Decimal(100)}
    return Posting.objects.create(claim=claim, remittance_claim=told, **{**usual, **over})


def make_provider_adjustment(**over: Any) -> ProviderAdjustment:
    remittance = over.pop("remittance", None) or make_remittance()
    usual = {"number": 1, "reason": "WO", "reference": "OLD", "amount": Decimal(5)}
    return ProviderAdjustment.objects.create(remittance=remittance, **{**usual, **over})
