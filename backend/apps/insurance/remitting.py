"""Posts an 835 to the ledger, to the cent or not at all; without it payments would be typed in, and some twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.bases import uuid7_text
from backend.apps.core.sealed import column
from backend.apps.insurance import crossovers, posting, remittance_matching, remittance_told, standing
from backend.apps.insurance.file_answers import Outcome
from backend.apps.insurance.models import ProviderAdjustment, Remittance, RemittanceClaim
from backend.apps.insurance.posting import Case
from backend.apps.insurance.remittance_told import Claim
from backend.apps.insurance.standing import Source

KIND = "claims_remittance_quarantined"
Status = Remittance.Status
State = RemittanceClaim.State
EQUATIONS = {
    "line": "a line's charge less its adjustments is not what was paid for it",
    "claim": "a claim's charge less its adjustments is not what was paid for it",
    "charges": "the charges of a claim's lines do not add up to the claim's",
    "payment": "the payments of all claims less the provider adjustments are not the payment",
    "negative": "the payment is less than nothing",
    "direction": "the payment is taken from us, not paid to us",
    "reversal": "a payment taken back has a positive charge",
}


class Payment(remittance_matching.Payer, Protocol):
    """What stands before the claims; see the reader of 835s."""

    @property
    def amount(self) -> Decimal: ...
    @property
    def method(self) -> str: ...
    @property
    def paid_on(self) -> date | None: ...
    @property
    def trace_number(self) -> str: ...
    @property
    def produced_on(self) -> date | None: ...
    @property
    def payer_name(self) -> str: ...


class Told(NamedTuple):
    """An 835 transaction as read. imbalances: the equations that do not hold; with any of them nothing is posted."""

    payment: Payment
    claims: Sequence[Claim]
    provider_adjustments: Sequence[Any]
    imbalances: Sequence[Any] = ()


@transaction.atomic
def take(source: Source, told: Told) -> Outcome:
    """Post one transaction, in few statements however many claims it holds.

    Only a transaction that balances is posted. A claim of it that is not found, or that the ledger cannot take, is set
    aside for a person with all its amounts; the rest is posted, and the remittance says "partly" until a person has
    decided. Safe to repeat: the same payer, trace, day and amount is the same payment, in whatever file it comes, also
    while another worker posts it.
    """
    known = _known(source)
    if known is not None and known.status != Status.QUARANTINED:
        return Outcome(is_partly=known.status == Status.PARTLY)
    problem = _problem(told)
    if problem:
        return _quarantine(source, told, known, problem)
    remittance = _begin(source, told, known)
    alerts.clear(cause(source.file.pk, source.place))
    if remittance is None:
        return Outcome(("This payment is posted already, from another file.",), is_duplicate=True)
    _post(source, told, remittance)
    return Outcome(is_partly=remittance.status == Status.PARTLY)


def _known(source: Source) -> Remittance | None:
    read = Remittance.all_objects.select_for_update(no_key=True).filter(file=source.file, place=source.place)
    return read.first()


def _problem(told: Told) -> str:
    """Return why nothing of it may be posted, "" where nothing speaks against it; places and sums only."""
    if not told.payment.trace_number:
        return "The payment has no trace number, so that it could be posted twice."
    if not remittance_matching.is_for_us(told.payment):
        return "It pays a provider who does not bill here, by its NPI."
    if not told.imbalances:
        return ""
    first = told.imbalances[0]
    where = f" (claim {first.claim}{f', line {first.line}' if first.line else ''})" if first.claim else ""
    more = f" And {len(told.imbalances) - 1} more." if len(told.imbalances) > 1 else ""
    return f"Does not balance: {EQUATIONS.get(first.equation, first.equation)}{where}, off by {first.off}.{more}"


def _row(source: Source, told: Told) -> Remittance:
    payment = told.payment
    return Remittance(
        partner_id=source.file.partner_id,
        file=source.file,
        place=source.place,
        transaction_number=source.transaction_number,
        payer_identifier=payment.payer_id[:30],
        payer_name=payment.payer_name[:60],
        trace=payment.trace_number[:50],
        paid_on=payment.paid_on or payment.produced_on or standing.day(source),
        amount=payment.amount,
        method=payment.method[:3],
        claims_count=len(told.claims),
    )


def _quarantine(source: Source, told: Told, known: Remittance | None, problem: str) -> Outcome:
    row = known or _row(source, told)
    row.status, row.problem = Status.QUARANTINED, problem[:300]
    row.findings = [_equation(one) for one in told.imbalances[:20]]
    row.save()
    alerts.open_once(
        cause(source.file.pk, source.place),
        kind=KIND,
        sentence=f"A remittance from {source.file.partner.name} was not posted. {problem}"[:300],
        subject=row,
    )
    return Outcome((problem,), is_partly=True, is_refused=True)


def _equation(one: Any) -> str:
    return f"{one.equation}: claim {one.claim}, line {one.line}, off by {one.off}"


def cause(file_id: UUID, place: int) -> str:
    return f"remittance quarantined:{file_id}:{place}"


def _begin(source: Source, told: Told, known: Remittance | None) -> Remittance | None:
    """Save the row that stands for this payment; None where another one stands for it already.

    Another worker with the same payment waits here until the first one has committed.
    """
    row = _row(source, told)
    row.status, row.posted_at = Status.POSTED, timezone.now()
    if known is None:
        Remittance.objects.bulk_create([row], ignore_conflicts=True)
        return row if Remittance.all_objects.filter(pk=row.pk).exists() else None
    row.pk, row.created_at, row._state.adding = known.pk, known.created_at, False
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        known.status, known.problem = Status.DISMISSED, "This payment has been posted from another file."
        known.save(update_fields=["status", "problem", "updated_at"])
        return None
    return row


def _post(source: Source, told: Told, remittance: Remittance) -> None:
    ours = remittance_matching.claims(told.claims, told.payment)
    told_of = [
        Case(uuid7_text(), claim, ours.get(claim.position), source.offset + claim.segment) for claim in told.claims
    ]
    cases = crossovers.meant(source, told_of)
    decided = posting.post(source, remittance, cases)
    _write_claims(source, remittance, cases, decided)
    _write_provider_adjustments(remittance, told)
    open_ones = any(state in {State.UNMATCHED, State.BLOCKED} for state, _ in decided.values())
    remittance.status = Status.PARTLY if open_ones else Status.POSTED
    Remittance.objects.filter(pk=remittance.pk).update(status=remittance.status)


MEMBER_ID, CONTENT = column(RemittanceClaim, "member_id"), column(RemittanceClaim, "content")
COLUMNS = ("id", "remittance_id", "number", "claim_id", "claim_control_number", "status_code", "charge", "paid",
           "patient_responsibility", "payer_claim_number", "member_id", "service_on", "remarks", "crossed_to",
           "content", "state", "reason")  # fmt: skip


def _write_claims(
    source: Source, remittance: Remittance, cases: Iterable[Case], decided: Mapping[str, tuple[str, str]]
) -> None:
    key = str(remittance.pk)
    copy_in = f"COPY insurance_remittanceclaim ({', '.join(COLUMNS)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
        for case in cases:
            claim = case.told
            state, reason = decided[case.row_id]
            copy.write_row(
                (case.row_id, key, claim.position, case.claim_id and str(case.claim_id), claim.number[:38],
                 claim.status[:2], str(claim.charge), str(claim.paid), str(claim.patient_responsibility),
                 claim.payer_claim_number[:50], MEMBER_ID.seal(case.row_id, claim.member_id[:80]),
                 remittance_told.service_day(claim), remittance_told.remarks(claim.remarks), claim.crossover_id[:80],
                 CONTENT.seal(case.row_id, remittance_told.content(claim, source.offset)), str(state), reason)
            )  # fmt: skip


def _write_provider_adjustments(remittance: Remittance, told: Told) -> None:
    if not told.provider_adjustments:
        return
    claims = remittance_matching.by_reference((one.reference for one in told.provider_adjustments), told.payment)
    ProviderAdjustment.objects.bulk_create(
        ProviderAdjustment(
            remittance=remittance,
            number=number,
            reason=one.reason[:2],
            reference=one.reference[:50],
            amount=one.amount,
            claim_id=claims.get(one.reference),
        )
        for number, one in enumerate(told.provider_adjustments, start=1)
    )


def claims_of(source: Source) -> list[UUID]:
    """Return the claims of ours that one remittance is about, for what follows from its payments."""
    mine = {"remittance__file": source.file, "remittance__place": source.place}
    rows = RemittanceClaim.objects.filter(claim__isnull=False, **mine)
    return list(rows.order_by().values_list("claim_id", flat=True).distinct())
