"""Decides which claims of an 835 the ledger can take, and moves them; without it one odd claim would hold up all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from backend.apps.insurance import ledger, remittance_matching, remittance_told, standing
from backend.apps.insurance.ledger import NOTHING, REVERSAL, Books, Posted
from backend.apps.insurance.models import InsuranceClaim, Remittance, RemittanceClaim, Stage
from backend.apps.insurance.models.submissions import SubmissionStatus
from backend.apps.insurance.remittance_matching import OurLine
from backend.apps.insurance.remittance_told import Claim
from backend.apps.insurance.standing import Source, Word
from backend.apps.users.models import User

Status = InsuranceClaim.Status
State = RemittanceClaim.State
NOTES = frozenset({"23", "25"})  # passed on to another payer; a prediction
NOT_OUR_PATIENT = "4"
MOST_REASON = 1000


class Case(NamedTuple):
    """One claim as told, and which of ours it is. row_id: of its RemittanceClaim. segment: its place in the file."""

    row_id: str
    told: Claim
    claim_id: UUID | None
    segment: int


class Ours(NamedTuple):
    """A claim of ours, locked."""

    pk: UUID
    status: str
    control_number: str
    billed_amount: Decimal
    paid_amount: Decimal | None
    denial_reason: str
    insurance_reference_number: str


Decisions = dict[str, tuple[str, str]]


def post(source: Source, remittance: Remittance, cases: Sequence[Case], *, by: User | None = None) -> Decisions:
    """Post what can be posted; return state and reason by row. Belongs into the transaction of the remittance.

    The statements are as many for one claim as for thousands. A claim that the ledger cannot take, by the claim's own
    limits or because it contradicts what is posted, is blocked with a sentence and nothing of it is posted.
    """
    keys = sorted({case.claim_id for case in cases if case.claim_id})
    _prove_sent(source, keys)
    claims = _locked(keys)
    books = ledger.books(keys, {pk: one.paid_amount for pk, one in claims.items()})
    decided: Decisions = {case.row_id: _decide(case, claims, books) for case in cases}
    taken = [case for case in cases if decided[case.row_id][0] == State.POSTED]
    if taken:
        lines = remittance_matching.lines_of({case.claim_id for case in taken if case.claim_id})
        ledger.write(_posted(case, claims, lines, by) for case in taken)
        _move(remittance, taken, claims, books)
    _remember(source, remittance, cases, decided)
    return decided


def of_originals(cases: Sequence[Case]) -> list[Case]:
    """Return the cases, a reversal told of a correction or a void with the claim that was decided before it.

    Payers answer a claim of frequency 7 or 8 by taking back their decision on its original, some under the new number.
    """
    reversals = {case.claim_id for case in cases if case.claim_id and case.told.status == REVERSAL}
    if not reversals:
        return list(cases)
    rows = InsuranceClaim.objects.filter(pk__in=reversals, original__isnull=False)
    undecided = rows.exclude(remittance_claims__state=State.POSTED)
    originals = dict(undecided.values_list("pk", "original_id"))
    meant: list[Case] = []
    for case in cases:
        if case.told.status == REVERSAL and case.claim_id in originals:
            meant.append(case._replace(claim_id=originals[case.claim_id]))
        else:
            meant.append(case)
            if case.claim_id:
                originals.pop(case.claim_id, None)  # decided by now: what is taken back after this is its own
    return meant


def _prove_sent(source: Source, keys: Sequence[UUID]) -> None:
    """Note that a file arrived that we were not sure of: a payer has judged its claims."""
    batched = standing.tries(claim__in=keys, status=SubmissionStatus.BATCHED, claim__status=Status.DRAFT)
    standing.prove_sent(source.file.partner_id, [one.interchange_id for one in batched], proof="835")


def _locked(keys: Sequence[UUID]) -> dict[UUID, Ours]:
    rows = InsuranceClaim.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    return {row[0]: Ours(*row) for row in rows.values_list(*Ours._fields)}


def _decide(case: Case, claims: Mapping[UUID, Ours], books: Mapping[UUID, Books]) -> tuple[str, str]:
    """Return what becomes of one claim, and add it to the books where it is posted: those after it build on that."""
    told = case.told
    if told.status in NOTES and not told.paid:
        return State.NOTED, ""
    ours = claims.get(case.claim_id) if case.claim_id else None
    if ours is None:
        return State.UNMATCHED, "No claim of ours has this number."
    book = books[ours.pk]
    patient = owed(told)
    reason = why_blocked(told, patient, ours, book)
    if reason:
        return State.BLOCKED, reason
    book.add(told.status, told.charge, told.paid, patient)
    return State.POSTED, ""


def owed(told: Claim) -> Decimal:
    """Return what the patient owes by the adjustments themselves; CLP05 is information only."""
    found = [*told.adjustments, *(one for line in told.lines for one in line.adjustments)]
    return sum((one.amount for one in found if one.group == "PR"), NOTHING)


def why_blocked(told: Claim, patient: Decimal, ours: Ours, book: Books) -> str:
    """Return why the ledger cannot take a claim, "" where it can. Whatever the table of claims would refuse is here."""
    paid_then, patient_then = book.paid + told.paid, book.patient + patient
    if ours.status == Status.DRAFT:
        return "Our claim is a draft: it was never sent, or is being corrected."
    if told.status == REVERSAL:
        if book.decided[(-told.charge, -told.paid)] < 1:
            return "No payment of these amounts has been posted that could be taken back."
    elif book.by_hand:
        return "A person has entered a payment of this claim by hand."
    elif told.charge < 0:
        return "The charge is negative, but the claim is not marked as taken back."
    elif ours.status != Status.APPEALED and book.settled > 0 and book.charged + told.charge > ours.billed_amount:
        return "This claim has been decided already, and that was not taken back."
    if min(paid_then, patient_then) < 0:
        return "More would be taken back than was posted."
    if paid_then + patient_then > ours.billed_amount:
        return "Payment and patient's share together would be more than was billed."
    return ""


def _posted(case: Case, claims: Mapping[UUID, Ours], lines: Mapping[UUID, list[OurLine]], by: User | None) -> Posted:
    ours = claims[case.claim_id]  # type: ignore[index]  # a case that is posted has a claim
    matched = remittance_matching.lines(case.told, lines.get(ours.pk, []), ours.control_number)
    entries = ledger.entries(case.told, matched)
    return Posted(ours.pk, case.row_id, case.told.status == REVERSAL, entries, by.pk if by else None)


MOVE = f"""
UPDATE insurance_insuranceclaim AS claim
SET status = data.status, denial_reason = data.reason, insurance_reference_number = data.reference,
    payment_date = CASE WHEN data.status = 'paid' THEN %s::date END,
    payment_reference = CASE WHEN data.status = 'paid' THEN %s ELSE '' END, response_date = %s,
    paid_amount = sums.paid, patient_responsibility = sums.patient,
    allowed_amount = sums.paid + sums.patient, updated_at = now()
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[]) AS data (id, was, status, reason, reference)
JOIN ({ledger.SUMS}) AS sums ON sums.claim_id = data.id
WHERE claim.id = data.id AND claim.status = data.was"""  # noqa: S608  # our own names only


def _move(
    remittance: Remittance, taken: Iterable[Case], claims: Mapping[UUID, Ours], books: Mapping[UUID, Books]
) -> None:
    """Set status and sums of the claims from their ledger, all in one statement.

    allowed: what the payer grants, by itself and as the patient's share: the charge less all that it took off.
    """
    last = {case.claim_id: case.told for case in taken}  # of several about one claim the last one counts
    rows = [_stands(claims[pk], told, books[pk]) for pk, told in last.items() if pk]
    given: list[Any] = [remittance.paid_on, remittance.trace[:80], remittance.paid_on]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(MOVE, [*given, *columns, columns[0]])
        if cursor.rowcount != len(rows):
            raise RuntimeError("a locked claim moved while it was posted")


def _stands(ours: Ours, told: Claim, book: Books) -> tuple[UUID, str, str, str, str]:
    status = becomes(ours, told, book)
    reason = ours.denial_reason
    if status == Status.DENIED:
        codes = [*remittance_told.reasons(told), *told.remarks, *(one for line in told.lines for one in line.remarks)]
        reason = f"835: {', '.join(dict.fromkeys(codes)) or 'denied'}"[:MOST_REASON]
    elif status != ours.status:
        reason = ""
    return ours.pk, ours.status, status, reason, told.payer_claim_number[:50] or ours.insurance_reference_number


def becomes(ours: Ours, told: Claim, book: Books) -> str:
    """Return where a claim stands after its last word: paid also where the patient owes it all, as a deductible."""
    if told.status == REVERSAL and not +book.decided:
        status = Status.ACCEPTED
    elif book.settled > 0 or (told.status != NOT_OUR_PATIENT and not remittance_told.reasons(told)):
        status = Status.PAID
    else:
        status = Status.DENIED
    reachable = status == ours.status or status in InsuranceClaim.TRANSITIONS[Status(ours.status)]
    return status if reachable else ours.status


def _remember(source: Source, remittance: Remittance, cases: Sequence[Case], decided: Decisions) -> None:
    """Add the 835 to the timeline of each claim, and note that its file has been judged."""
    about = [case for case in cases if case.claim_id]
    posted = [case.claim_id for case in about if case.claim_id and decided[case.row_id][0] == State.POSTED]
    judged = standing.adjudicated(posted)
    words = [
        (_word(case, judged.get(case.claim_id), remittance.paid_on), decided[case.row_id][0] == State.POSTED)
        for case in about
        if case.claim_id
    ]
    standing.store(source, words)


def _word(case: Case, submission: UUID | None, day: date) -> Word:
    told = case.told
    return Word(
        Stage.PAYMENT, "835", told.status, case.segment, submission_id=submission, claim_id=case.claim_id,
        details=tuple(remittance_told.reasons(told)), payer_claim_number=told.payer_claim_number, event_on=day,
    )  # fmt: skip
