"""Makes questions to payers, deposits and what they are about, for tests of what is watched."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.insurance import inquiries, numbering
from backend.apps.insurance.models import (
    AckEvent,
    Deposit,
    EligibilityInquiry,
    InboundFile,
    InsuranceClaim,
    Interchange,
    PartnerPayer,
    Posting,
    Remittance,
    StatusInquiry,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.models.answers import Stage
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, partner, route
from backend.apps.users.tests.factories import make_user

_numbers = itertools.count(1)


def make_eligibility_inquiry(**over: Any) -> EligibilityInquiry:
    """Save a question that was sent an hour ago; its payer answers 270s."""
    patient = over.pop("patient", None)
    coverage = over.pop("coverage", None) or make_patient_insurance(patient=patient)
    at = timezone.now() - timedelta(hours=1)
    usual = {"service_on": Clinic.today(), "status": "sent", "queued_at": at, "sent_at": at}
    fields = {**usual, "trace": inquiries.new_trace(), **over}
    fields.setdefault("partner", reached_by(coverage.insurance_plan.provider))
    return EligibilityInquiry.objects.create(coverage=coverage, **fields)


def make_status_inquiry(**over: Any) -> StatusInquiry:
    patient = over.pop("patient", None)
    claim = over.pop("claim", None) or make_claim(patient_insurance=make_patient_insurance(patient=patient))
    over.setdefault("partner", reached_by(claim.patient_insurance.insurance_plan.provider))
    return StatusInquiry.objects.create(claim=claim, **{"trace": inquiries.new_trace(), **over})


def reached_by(provider: Any) -> TradingPartner:
    """Return the partner that reaches a payer, made where there is none."""
    known = PartnerPayer.objects.filter(provider=provider).select_related("partner").first()
    return (known or route(provider=provider, answers_eligibility=True, answers_status=True)).partner


def make_deposit(**over: Any) -> Deposit:
    usual = {"trace": f"EFT{next(_numbers)}", "amount": Decimal("100.00"), "received_on": Clinic.today()}
    return Deposit.objects.create(**{**usual, **over})


def make_inbound(by: TradingPartner | None = None, **over: Any) -> InboundFile:
    name = uuid.uuid4().hex
    usual = {"name": name, "size_bytes": 1, "sha256": name, "content": b"x", "dedupe_key": f"inbound:{name}"}
    return InboundFile.objects.create(partner=by or partner(), **{**usual, **over})


def make_interchange(by: TradingPartner | None = None, **over: Any) -> Interchange:
    """Save a file of claims that was sent just now."""
    by = by or partner()
    numbers = numbering.take(by)
    usual = {
        "interchange_number": numbers.interchange, "group_number": numbers.group, "status": "sent",
        "file_name": f"{numbers.interchange}.x12", "content": b"x", "sha256": uuid.uuid4().hex, "size_bytes": 1,
        "dedupe_key": f"interchange:{uuid.uuid4()}", "sent_at": timezone.now(), "work_state": "done",
    }  # fmt: skip
    return Interchange.objects.create(partner=by, **{**usual, **over})


def make_submission(claim: InsuranceClaim, file: Interchange, **over: Any) -> Submission:
    usual = {"status": "sent", "transaction_number": "0001", "sent_at": file.sent_at}
    return Submission.objects.create(claim=claim, partner=file.partner, interchange=file, **{**usual, **over})


def make_event(claim: InsuranceClaim, kind: str, code: str, **over: Any) -> AckEvent:
    """Save a partner's word about a claim."""
    file = over.pop("file", None) or make_inbound()
    usual = {"stage": Stage.SYNTAX if kind == "999" else Stage.CLEARINGHOUSE, "segment_index": next(_numbers)}
    return AckEvent.objects.create(
        partner=file.partner, file=file, file_sha256=file.sha256, claim=claim, kind=kind, code=code, **{**usual, **over}
    )


def make_remittance(**over: Any) -> Remittance:
    by = over.pop("partner", None) or partner()
    usual = {
        "file": make_inbound(by), "transaction_number": "0001", "payer_identifier": "1999999999",
        "trace": f"EFT{next(_numbers)}", "paid_on": Clinic.today(), "amount": Decimal("100.00"), "method": "ACH",
        "status": "posted",
    }  # fmt: skip
    return Remittance.objects.create(partner=by, **{**usual, **over})


def make_posting(claim: InsuranceClaim, group: str, reason: str, amount: str, **over: Any) -> Posting:
    """Save an adjustment as a person enters it."""
    kinds = {"CO": "contractual", "PR": "patient"}
    usual = {"kind": kinds.get(group, "other"), "group": group, "reason": reason, "amount": Decimal(amount)}
    return Posting.objects.create(claim=claim, by=make_user(), **{**usual, **over})
