"""Counts down to the day after which a payer takes no claim, and keeps the proof of ours; else money would lapse.

The window is the plan's, or that of the law for its type, from the first day on which a line was served. Only
originals count: payers give corrections a window of their own.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    Case,
    DateField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import codes
from backend.apps.insurance.models import AckEvent, ClaimLine, InsuranceClaim, Interchange
from backend.apps.insurance.models.claims import Frequency
from backend.apps.insurance.models.payers import FILING_DAYS
from backend.apps.insurance.standing import OF_A_LINE

Status = InsuranceClaim.Status
NOT_ACCEPTED = (Status.DRAFT, Status.SUBMITTED, Status.PENDING, Status.REJECTED)
OPEN, EARLY, LATE, PAST = "open", "75", "90", "past"  # per cent of the window that is gone
TAKEN = ("A1", "A2")  # 277CA, STC01-1: the clearinghouse or the payer has it
READ = ("A", "E")  # 999, IK501: taken in, perhaps with remarks
PLAN = "patient_insurance__insurance_plan"
WINDOW = Coalesce(
    F(f"{PLAN}__timely_filing_days"),
    Case(*(When(**{f"{PLAN}__plan_type": kind}, then=Value(days)) for kind, days in FILING_DAYS.items())),
    output_field=IntegerField(),
)


class Proof(NamedTuple):
    """A partner's own word that it got the claim, where it stands, and which file of ours it is about."""

    kind: str
    code: str
    event_on: date
    file: str
    file_sha256: str
    transaction_number: str
    segment_index: int
    payer_claim_number: str
    deadline: date | None
    in_time: bool | None
    sent_at: datetime | None
    interchange_number: int | None
    sent_sha256: str


class Days(Func):
    """One day less another: PostgreSQL counts whole days, where Django would have an interval."""

    template = "(%(expressions)s)"
    arg_joiner = " - "
    output_field = IntegerField()


def running(claims: QuerySet[Any], today: date) -> QuerySet[Any]:
    """Return the claims whose clock runs, with `deadline`, `days_left` and `stage`, those to hurry with first."""
    clocked = Q(**{f"{PLAN}__timely_filing_days__isnull": False}) | Q(**{f"{PLAN}__plan_type__in": list(FILING_DAYS)})
    rows = claims.filter(clocked, status__in=NOT_ACCEPTED, frequency=Frequency.ORIGINAL)
    first = ClaimLine.objects.filter(claim=OuterRef("pk")).order_by("service_from").values("service_from")[:1]
    begun = Coalesce(Subquery(first), F("service_date"))
    rows = rows.annotate(deadline=ExpressionWrapper(begun + WINDOW, output_field=DateField()))
    rows = rows.annotate(days_left=Days(F("deadline"), Value(today, output_field=DateField())))
    return rows.annotate(stage=_stage()).order_by("deadline", "pk")


def _stage() -> Case:
    """Compare in hundredths of days: what is left of the window against what is left at 75 and 90 per cent."""
    return Case(
        When(days_left__lt=0, then=Value(PAST)),
        When(days_left__lte=WINDOW * Value(10) / Value(100), then=Value(LATE)),
        When(days_left__lte=WINDOW * Value(25) / Value(100), then=Value(EARLY)),
        default=Value(OPEN),
        output_field=TextField(),
    )


def deadline(claim: InsuranceClaim) -> date | None:
    """Return the last day on which the payer takes the claim, None where the plan does not say."""
    window = claim.patient_insurance.insurance_plan.filing_days
    first = codes.first_day(claim.procedure_codes, usual=claim.service_date)
    return None if window is None else first + timedelta(days=window)


def proof(claim: InsuranceClaim) -> Proof:
    """Return the first word of a partner that it has the claim as a whole: a 277CA, else a 999.

    segment_index is the place in the file, its ISA being 1: of the STC, or of the AK2 of the claim's transaction (of
    the ST where the 999 names none).

    Raises:
        DomainError: nobody has said so yet.
    """
    found = _first(claim, Q(kind="277CA", code__in=TAKEN)) or _first(claim, Q(kind="999", code__in=READ))
    if found is None:
        raise DomainError("No partner has said yet that it took this claim in; there is no proof of filing.")
    last, on = deadline(claim), found.event_on or timezone.localdate(found.created_at, timezone=Clinic.current().zone)
    sent = _sent(claim, found)
    return Proof(
        kind=found.kind,
        code=found.code,
        event_on=on,
        file=str(found.file_id),
        file_sha256=found.file_sha256,
        transaction_number=found.transaction_number,
        segment_index=found.segment_index,
        payer_claim_number=found.payer_claim_number,
        deadline=last,
        in_time=None if last is None else on <= last,
        sent_at=sent.sent_at if sent else None,
        interchange_number=sent.interchange_number if sent else None,
        sent_sha256=sent.sha256 if sent else "",
    )


def _first(claim: InsuranceClaim, words: Q) -> AckEvent | None:
    events = AckEvent.objects.filter(words, claim=claim).exclude(details__contains=[OF_A_LINE])
    return events.order_by(F("event_on").asc(nulls_last=True), "created_at", "pk").first()


def _sent(claim: InsuranceClaim, event: AckEvent) -> Interchange | None:
    """Return the file of ours that an event is about, else the last one with the claim; without its bytes."""
    files = Interchange.objects.defer("content")
    exact = files.filter(Q(pk=event.interchange_id) | Q(submissions=event.submission_id)).first()
    return exact or files.filter(submissions__claim=claim).order_by("-sent_at").first()
