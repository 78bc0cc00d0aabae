"""Saves claims that travel, with files and answers; without it tests of pages and books would run the whole way."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.insurance.models import (
    AckEvent,
    ControlNumber,
    InboundFile,
    InsuranceClaim,
    Interchange,
    Posting,
    Remittance,
    RemittanceClaim,
    Stage,
    Submission,
    TradingPartner,
)

ISA = "ISA*00*          *00*          *ZZ*OURS           *ZZ*THEIRS         *260302*1200*^*00501*{:09}*0*T*:~"
_numbers = itertools.count(1)


def content_of(claims: list[InsuranceClaim], number: int) -> bytes:
    """Return just enough of an 837P to count its claims."""
    segments = [f"CLM*{claim.control_number}*{claim.billed_amount}***11:B:1~" for claim in claims]
    return (ISA.format(number) + "GS*HC~ST*837*0001~" + "".join(segments) + "SE*1*0001~GE*1*1~IEA*1*1~").encode()


def numbered(claim: InsuranceClaim) -> InsuranceClaim:
    """Give a claim its CLM01."""
    if not claim.control_number:
        claim.control_number = uuid.uuid4().hex[:17].upper()
        InsuranceClaim.objects.filter(pk=claim.pk).update(control_number=claim.control_number)
    return claim


def sent_file(partner: TradingPartner, *claims: InsuranceClaim, state: str = "sent", **over: Any) -> Interchange:
    """Save a file of these claims and their submissions; state: of those, and of the file where it has that word."""
    known, _ = ControlNumber.objects.get_or_create(partner=partner, kind="isa")
    known.last += 1
    known.save()
    content = content_of([numbered(claim) for claim in claims], known.last)
    on_the_way = {"batched": "ready", "sent": "sent"}
    fields: dict[str, Any] = {
        "partner": partner, "interchange_number": known.last, "group_number": known.last,
        "file_name": f"{known.last:09}.x12", "content": content, "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content), "transactions": 1, "items": len(claims),
        "status": on_the_way.get(state, "acknowledged"),
        "dedupe_key": f"claims-{next(_numbers)}-{uuid.uuid4().hex[:8]}",
        "work_state": "waiting" if state == "batched" else "done",
    }  # fmt: skip
    made = Interchange.objects.create(**{**fields, **over})
    if state != "batched":
        made.sent_at = made.created_at
        made.save(update_fields=["sent_at"])
    for claim in claims:
        Submission.objects.create(
            claim=claim, partner=partner, interchange=made, status=state, claim_control_number=claim.control_number,
            transaction_number="0001", batch_reference=f"B{known.last}", frequency=claim.frequency,
            sent_at=made.sent_at,
        )  # fmt: skip
    return made


def queued(partner: TradingPartner, claim: InsuranceClaim, **over: Any) -> Submission:
    return Submission.objects.create(claim=claim, partner=partner, **over)


def moved(claim: InsuranceClaim, status: str, **fields: Any) -> InsuranceClaim:
    """Save a claim as standing in `status`, as an answer would leave it."""
    today = Clinic.today()
    usual: dict[str, Any] = {"submission_date": claim.submission_date or today} if status != "draft" else {}
    if status in {"rejected", "denied"}:
        usual |= {"denial_reason": "A7:507", "response_date": today}
    InsuranceClaim.objects.filter(pk=claim.pk).update(status=status, **{**usual, **fields})
    claim.refresh_from_db()
    return claim


def inbound_file(partner: TradingPartner, **over: Any) -> InboundFile:
    number = next(_numbers)
    content = over.pop("content", f"ISA*{number}~".encode())
    fields = {
        "partner": partner, "name": f"answer-{number}.txt", "content": content, "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), "status": "applied", "work_state": "done", "kinds": "999",
        "dedupe_key": f"file-{number}-{uuid.uuid4().hex[:8]}", "read_at": timezone.now(),
    }  # fmt: skip
    return InboundFile.objects.create(**{**fields, **over})


def answered(claim: InsuranceClaim, stage: Stage, code: str, **over: Any) -> AckEvent:
    """Save what a partner said of a claim at `stage`."""
    submission = Submission.objects.filter(claim=claim).order_by("-created_at").first()
    assert submission is not None
    file = over.pop("file", None) or inbound_file(submission.partner)
    kinds = {Stage.INTERCHANGE: "TA1", Stage.SYNTAX: "999", Stage.STATUS: "277", Stage.PAYMENT: "835"}
    fields = {
        "partner": submission.partner, "file": file, "interchange": submission.interchange, "submission": submission,
        "claim": claim, "stage": stage, "kind": kinds.get(stage, "277CA"), "code": code, "file_sha256": file.sha256,
        "segment_index": next(_numbers), "was_applied": True, "event_on": Clinic.today(),
    }  # fmt: skip
    return AckEvent.objects.create(**{**fields, **over})


def remittance(partner: TradingPartner, *, amount: str = "100.00", **over: Any) -> Remittance:
    number = next(_numbers)
    fields = {
        "partner": partner, "file": over.pop("file", None) or inbound_file(partner, kinds="835"),
        "transaction_number": "0001", "payer_identifier": "1999999999", "payer_name": "EXAMPLE HEALTH",
        "trace": f"EFT{number}", "paid_on": Clinic.today(), "amount": Decimal(amount), "method": "ACH",
        "status": "posted", "posted_at": timezone.now(),
    }  # fmt: skip
    return Remittance.objects.create(**{**fields, **over})


def told_claim(paid_by: Remittance, claim: InsuranceClaim | None, **over: Any) -> RemittanceClaim:
    """Save a claim of an 835; what was paid of a claim of ours is posted to its ledger too."""
    fields: dict[str, Any] = {
        "remittance": paid_by, "number": paid_by.claims.count() + 1, "claim": claim,
        "claim_control_number": claim.control_number if claim else "NOBODYS", "status_code": "1",
        "charge": Decimal("150.00"), "paid": paid_by.amount, "state": "posted" if claim else "unmatched",
    }  # fmt: skip
    made = RemittanceClaim.objects.create(**{**fields, **over})
    Remittance.objects.filter(pk=paid_by.pk).update(claims_count=made.number)
    if claim and made.state == "posted":
        Posting.objects.create(claim=claim, remittance_claim=made, kind="payment", amount=made.paid)
    return made


def paid(claim: InsuranceClaim, by: Remittance) -> InsuranceClaim:
    """Post all of a payment to one claim."""
    told_claim(by, claim)
    day = Clinic.today() - timedelta(days=1)
    return moved(claim, "paid", paid_amount=by.amount, payment_date=day, submission_date=claim.service_date)
