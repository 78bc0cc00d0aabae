"""Decides which claims of an 835 the ledger can take, and moves them; without it one odd claim would hold up all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from backend.apps.insurance import given_up, ledger, remittance_matching, remittance_told, standing
from backend.apps.insurance.ledger import NOTHING, REVERSAL, Books, Entry, Posted
from backend.apps.insurance.models import InsuranceClaim, Remittance, RemittanceClaim, Stage, Submission
from backend.apps.insurance.models.remittances import PostingKind
from backend.apps.insurance.models.submissions import SubmissionStatus
from backend.apps.insurance.remittance_told import Claim
from backend.apps.insurance.standing import Source, Word
from backend.apps.users.models import User

Status = InsuranceClaim.Status
State = RemittanceClaim.State
PASSED_ON, PREDICTION = "23", "25"  # to another payer; of what would be paid
PAID_BEFORE = "B13"  # CARC: an earlier payment has paid this part
DECIDED = "This claim has been decided already, and that was not taken back."
BEYOND = "The next payer has decided this, and we know of no claim to it: match it to that claim, or dismiss it."
NOT_OUR_PATIENT = "4"
SAYS_WITHOUT_MONEY = frozenset({REVERSAL, NOT_OUR_PATIENT})
RANKS: Mapping[str, int] = MappingProxyType({"1": 1, "19": 1, "2": 2, "20": 2, "3": 3, "21": 3})  # CLP02: whose turn
NOT_AWAY = (SubmissionStatus.BATCHED, SubmissionStatus.QUEUED, SubmissionStatus.WITHDRAWN)  # as far as we know
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


class Turn(NamedTuple):
    """As which payer the one of a claim may decide, 1 for the first; last: by its coverage, where that says more."""

    first: int
    last: int


Decisions = dict[str, tuple[str, str]]


def post(source: Source, remittance: Remittance, cases: Sequence[Case], *, by: User | None = None) -> Decisions:
    """Post what can be posted; return state and reason by row. Belongs into the transaction of the remittance.

    The claims have been locked by `lock`. The statements are as many for one claim as for thousands. A claim that the
    ledger cannot take, by the claim's own limits or because it contradicts what is posted, is blocked with a sentence
    and nothing of it is posted.

    A claim that is decided anew though its decision was not taken back, after an appeal say, ends with the new decision
    only: entries of their own take back what the old one took off. Money stays paid, so that the new decision has to
    name it as paid before (CARC B13); else a person decides. The same decision once more is left to a person too,
    unless an appeal waits for it.
    """
    keys = sorted({case.claim_id for case in cases if case.claim_id})
    keeper = Bookkeeper(keys, by)
    decided: Decisions = {case.row_id: keeper.decide(case) for case in cases}
    taken_back = {case.claim_id for case in keeper.taken if case.told.status == REVERSAL}
    for case in cases:  # some payers write the correction before what it corrects is taken back
        if decided[case.row_id][0] == State.BLOCKED and case.claim_id in taken_back:
            decided[case.row_id] = keeper.decide(case)
    if keeper.taken:
        keeper.write()
        decided.update((key, (str(State.POSTED), ledger.SUPERSEDED)) for key in keeper.superseded)
        _move(remittance, keeper.taken, keeper.claims, keeper.books)
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


def lock(source: Source, cases: Sequence[Case]) -> None:
    """Lock what an 835 may be about in one order: first files, then claims with those to the payers after them.

    A payer that judges a claim has it: a file that we were not sure of arrived, and one that was given up did as well.
    """
    keys = {case.claim_id for case in cases if case.claim_id}
    if not keys:
        return
    _prove_sent(source, keys)
    second = _to_next_payers(keys)
    locked = _locked(sorted(keys | second | _to_next_payers(second)))
    drafts = [pk for pk in keys if pk in locked and locked[pk].status == Status.DRAFT]
    given_up.revive(given_up.firsts(drafts) if drafts else {})


def _to_next_payers(keys: Collection[UUID]) -> set[UUID]:
    return set(InsuranceClaim.objects.filter(secondary_to__in=keys).order_by().values_list("pk", flat=True))


def _prove_sent(source: Source, keys: Collection[UUID]) -> None:
    """Note that a file arrived that we were not sure of: a payer has judged its claims, which it has from no other."""
    unsure = Submission.objects.filter(claim__in=keys, claim__status=Status.DRAFT, status=SubmissionStatus.BATCHED)
    files = list(unsure.order_by().values_list("claim_id", "interchange_id"))
    if not files:
        return
    others = Submission.objects.filter(~given_up.turned_back(), claim__in=[claim for claim, _ in files])
    elsewhere = set(others.exclude(status__in=NOT_AWAY).order_by().values_list("claim_id", flat=True))
    only = {file for claim, file in files if claim not in elsewhere}
    standing.prove_sent(source.file.partner_id, only, proof="835")


def _locked(keys: Sequence[UUID]) -> dict[UUID, Ours]:
    rows = InsuranceClaim.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    return {row[0]: Ours(*row) for row in rows.values_list(*Ours._fields)}


def turns(claims: Iterable[UUID]) -> dict[UUID, Turn]:
    """Return by claim whose turn it is."""
    rows = InsuranceClaim.objects.filter(pk__in=list(claims)).order_by()
    told = rows.values_list("pk", "secondary_to", "secondary_to__secondary_to", "patient_insurance__priority")
    depths = ((pk, 1 + (first is not None) + (second is not None), priority) for pk, first, second, priority in told)
    return {pk: Turn(depth, max(depth, priority)) for pk, depth, priority in depths}


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
    if min(paid_then, patient_then) < 0:
        return "More would be taken back than was posted."
    if paid_then + patient_then > ours.billed_amount:
        return "Payment and patient's share together would be more than was billed."
    return ""


def why_of_another(told: Claim, turn: Turn, ours: Ours, book: Books, *, is_anew: bool) -> str:
    """Return why another payer than the one of a claim has decided, "" where nothing tells so.

    The payers go on using the number of the first claim. Which one denies by status 4 is not told, so that only an
    appeal lets that stand beside a decision, be it one on a part of the claim, or take its place.
    """
    rank = RANKS.get(told.status)
    if rank is not None and rank > turn.last:
        return BEYOND
    is_beside = is_anew or (told.status == NOT_OUR_PATIENT and book.charged > 0)
    is_its_own = ours.status == Status.APPEALED if rank is None else rank >= turn.first
    return DECIDED if is_beside and not is_its_own else ""


def why_not_anew(told: Claim, entries: Sequence[Entry], ours: Ours, book: Books) -> str:
    """Return why a second decision cannot take the place of the one that stands, "" where it can."""
    before = sum((one.amount for one in entries if one.reason == PAID_BEFORE), NOTHING)
    if before != book.paid or (ours.status != Status.APPEALED and book.stands_as(entries)):
        return DECIDED
    patient = sum((one.amount for one in entries if one.kind == PostingKind.PATIENT), NOTHING)
    if min(told.paid + book.paid, patient) < 0:
        return "More would be taken back than was posted."
    if told.paid + book.paid + patient > ours.billed_amount:
        return "Payment and patient's share together would be more than was billed."
    return "Our claim is a draft: it is being corrected." if ours.status == Status.DRAFT else ""


class Bookkeeper:
    """The claims of one 835, locked, with their books while it is posted.

    taken: the cases that are posted, in that order. superseded: rows of this 835 that a later one took the place of.
    """

    def __init__(self, keys: Sequence[UUID], by: User | None) -> None:
        self.claims = _locked(keys)
        self.books = ledger.books(keys, {pk: one.paid_amount for pk, one in self.claims.items()})
        self.taken: list[Case] = []
        self.superseded: list[str] = []
        self._turns = turns(keys)
        self._lines = remittance_matching.lines_of(keys)
        self._by_id = by.pk if by else None
        self._posted: list[Posted] = []
        self._anew: set[UUID] = set()

    def decide(self, case: Case) -> tuple[str, str]:
        """Return what becomes of one claim, and add it to the books where it is posted: those after it build on it."""
        told = case.told
        if told.status == PREDICTION or (told.status == PASSED_ON and not told.paid):
            return State.NOTED, ""
        ours = self.claims.get(case.claim_id) if case.claim_id else None
        if ours is None:
            return State.UNMATCHED, "No claim of ours has this number."
        book = self.books[ours.pk]
        entries = self._entries(told, ours)
        if not entries and ours.billed_amount and told.status not in SAYS_WITHOUT_MONEY:
            return State.NOTED, ""  # it decides about nothing
        is_anew = book.is_decided_anew(told.status, told.charge, ours.billed_amount)
        reason = why_of_another(told, self._turns[ours.pk], ours, book, is_anew=is_anew)
        if not reason:
            reason = why_not_anew(told, entries, ours, book) if is_anew else why_blocked(told, owed(told), ours, book)
        if reason:
            return State.BLOCKED, reason
        if is_anew:
            self._take_back(case, ours)
            entries = [one for one in entries if one.reason != PAID_BEFORE]
        book.add(told.status, told.charge, told.paid, entries)
        self._posted.append(Posted(ours.pk, case.row_id, told.status == REVERSAL, entries, self._by_id))
        self.taken.append(case)
        return State.POSTED, ""

    def _entries(self, told: Claim, ours: Ours) -> list[Entry]:
        number = ours.control_number or told.number  # of a claim that another payer passed on there is only that one's
        return ledger.entries(told, remittance_matching.lines(told, self._lines.get(ours.pk, []), number))

    def _take_back(self, case: Case, ours: Ours) -> None:
        """Take back what the decision that stands took off; its money stays."""
        back = self.books[ours.pk].begin_anew()
        self._posted.append(Posted(ours.pk, case.row_id, True, back, self._by_id))
        self.superseded += [one.row_id for one in self.taken if one.claim_id == ours.pk]
        self._anew.add(ours.pk)

    def write(self) -> None:
        """Add all entries to the ledger."""
        ledger.supersede(self._anew)
        ledger.write(self._posted)


MOVE = f"""
UPDATE insurance_insuranceclaim AS claim
SET status = data.status, denial_reason = data.reason, insurance_reference_number = data.reference,
    payment_date = CASE WHEN data.status = 'paid' THEN %s::date END,
    payment_reference = CASE WHEN data.status = 'paid' THEN %s ELSE '' END, response_date = %s,
    paid_amount = coalesce(sums.paid, 0), patient_responsibility = coalesce(sums.patient, 0),
    allowed_amount = coalesce(sums.paid + sums.patient, 0), updated_at = now()
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[]) AS data (id, was, status, reason, reference)
LEFT JOIN ({ledger.SUMS}) AS sums ON sums.claim_id = data.id
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
    elif told.status == NOT_OUR_PATIENT:
        status = Status.PAID if book.paid > 0 else Status.DENIED
    elif book.settled > 0 or not remittance_told.reasons(told):
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
