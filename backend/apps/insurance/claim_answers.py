"""What a partner answers to single claims before they are decided; without it an accepted claim would look lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, tzinfo
from itertools import product
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.insurance import standing
from backend.apps.insurance.file_answers import Outcome
from backend.apps.insurance.models import InsuranceClaim, Stage, StatusInquiry, Submission
from backend.apps.insurance.models.inquiries import OPEN, InquiryStatus
from backend.apps.insurance.standing import OF_A_LINE, REJECTING, Source, Try, Verdict, Word, is_weak

BATCH_LEVELS = frozenset({"source", "receiver", "provider"})
REFUSING = frozenset({"A3", "A6", "A7", "A8"})  # at a level above the patient's
MOST_CODES, LONGEST_CODE = 6, 30
UNABLE = "E"  # categories of a 277 that say: ask again


class ClaimStatus(Protocol):
    """One STC with what it is about; see the reader of partners' answers."""

    @property
    def level(self) -> str: ...
    @property
    def statuses(self) -> Sequence[Any]: ...
    @property
    def stated_on(self) -> date | None: ...
    @property
    def trace(self) -> str: ...
    @property
    def batch_reference(self) -> str: ...
    @property
    def payer_claim_number(self) -> str: ...
    @property
    def provider_id(self) -> str: ...
    @property
    def source_id(self) -> str: ...
    @property
    def position(self) -> int: ...


class Known(NamedTuple):
    """What a 277CA is held against, read once for all of it.

    day, zone: when it came, and the clinic's clock. payers: ids by claim. answered: batches, and those of one provider
    in them, with a claim that is answered by itself; None stands for any.
    """

    tries: Mapping[str, list[Try]]
    payers: Mapping[Any, set[str]]
    answered: frozenset[tuple[str | None, str | None]]
    day: date
    zone: tzinfo


@transaction.atomic
def take_277ca(source: Source, statuses: Iterable[ClaimStatus]) -> Outcome:
    """Apply the answers to claims of a batch. Only STC01-1 decides, and a line's status never refuses its claim."""
    told = list(statuses)
    tries = _tries(source, told)
    payers = _payers({one.claim_id for ones in tries.values() for one in ones})
    known = Known(tries, payers, _answered(told), standing.day(source), Clinic.current().zone)
    words = [word for status in told for word in _words(source, status, known)]
    files = {word.submission.interchange_id for word in words if word.submission}
    foreign = standing.prove_sent(source.file.partner_id, files, proof="277CA")
    heard = standing.hear(source, [_of_ours(word, foreign) for word in words])
    found = [f"{heard.unknown} answers name no claim of ours."] if heard.unknown else []
    found += [standing.NEVER_LEFT] if foreign else []
    return Outcome(tuple(found), is_partly=bool(found))


def _of_ours(word: Word, foreign: set[UUID]) -> Word:
    """Let a word be of no claim that is about a file of somebody else with our numbers.

    Should that turn out to be ours, its claims still hear it where the answer is read again.
    """
    file = word.submission and word.submission.interchange_id
    return word._replace(verdict=Verdict.NOTED, submission=None, interchange_id=file) if file in foreign else word


def _words(source: Source, status: ClaimStatus, known: Known) -> list[Word]:
    word = Word(
        Stage.CLEARINGHOUSE, "277CA", category(status), source.offset + status.position, details=codes(status),
        payer_claim_number=status.payer_claim_number, event_on=status.stated_on or known.day,
    )  # fmt: skip
    if status.level in BATCH_LEVELS:
        return _of_batch(word, status, known)
    tried = _one(status, known)
    if tried is None:
        return [word] if status.level == "patient" else []
    stage = _stage(status, known.payers.get(tried.claim_id, set()))
    verdict = _verdict(word.code) if status.level == "patient" else Verdict.NOTED
    reason = f"277CA {', '.join(word.details)}" if verdict == Verdict.REJECTED else ""
    return [word._replace(stage=stage, verdict=verdict, submission=tried, reason=reason)]


def _of_batch(word: Word, status: ClaimStatus, known: Known) -> list[Word]:
    """Return words for all claims of a batch that is refused as a whole: no claim of it is answered by itself."""
    beneath = (status.batch_reference or None, status.provider_id if status.level == "provider" else None)
    if word.code not in REFUSING or beneath in known.answered:
        return []
    reason = f"The batch was refused: 277CA {', '.join(word.details)}"
    batch = known.tries.get(_batch_key(status.batch_reference), [])
    return [word._replace(submission=one, verdict=Verdict.REJECTED, reason=reason) for one in batch] or [word]


def _answered(told: Sequence[ClaimStatus]) -> frozenset[tuple[str | None, str | None]]:
    claims = {(one.batch_reference, one.provider_id) for one in told if one.level not in BATCH_LEVELS}
    return frozenset(pair for batch, provider in claims for pair in product((batch, None), (provider, None)))


def _verdict(code: str) -> str:
    if code == "A2":
        return Verdict.ACCEPTED
    if code in REJECTING:
        return Verdict.REJECTED
    return Verdict.PENDING if code in {"A0", "A1"} or is_weak("277CA", code) else Verdict.NOTED


def _stage(status: ClaimStatus, payer_ids: set[str]) -> int:
    """Return whose word it is: the payer's where its id or its own number for the claim stands there."""
    is_payers = status.source_id in payer_ids or (status.payer_claim_number and category(status) == "A2")
    return Stage.PAYER if is_payers else Stage.CLEARINGHOUSE


def category(status: ClaimStatus) -> str:
    return status.statuses[0].category if status.statuses else ""


def codes(status: ClaimStatus) -> tuple[str, ...]:
    """Return ("A7:507:IL", ...): category, code and entity; behind SVC where it is about one line of a claim."""
    kept = status.statuses[:MOST_CODES]
    said = [":".join(filter(None, (one.category, one.code, one.entity)))[:LONGEST_CODE] for one in kept]
    return (*((OF_A_LINE,) if status.level == "line" else ()), *said)


def _batch_key(reference: str) -> str:
    return f"batch {reference}"


def _tries(source: Source, told: Sequence[ClaimStatus]) -> dict[str, list[Try]]:
    """Return submissions by trace, and by batch; our numbers are short enough that nobody cuts them."""
    partner = source.file.partner_id
    traces = {status.trace for status in told if status.trace and status.level not in BATCH_LEVELS}
    found: dict[str, list[Try]] = {}
    for one in standing.tries(partner=partner, claim_control_number__in=traces):
        found.setdefault(one.claim_control_number, []).append(one)
    batches = {one.batch_reference for one in told if one.level in BATCH_LEVELS and one.batch_reference}
    for one in standing.tries(partner=partner, batch_reference__in=batches) if batches else []:
        found.setdefault(_batch_key(one.batch_reference), []).append(one)
    return found


def _one(status: ClaimStatus, known: Known) -> Try | None:
    """Return which try of the claim is meant: that of the batch, else the last one sent by then.

    One in a file that may not have left is meant only where no other try is away.
    """
    found = known.tries.get(status.trace, [])
    of_batch = [one for one in found if one.batch_reference and one.batch_reference == status.batch_reference]
    if of_batch:
        return of_batch[-1]
    away = [one for one in found if one.status != Submission.Status.BATCHED] or found
    by_then = [one for one in away if status.stated_on and _sent_on(one, known.zone) <= status.stated_on]
    alike = by_then or away
    return alike[-1] if alike else None


def _sent_on(one: Try, zone: tzinfo) -> date:
    """Return the clinic's day of a try: partners write days of their own clocks, not of UTC."""
    return timezone.localdate(one.sent_at or one.queued_at, timezone=zone)


def _payers(claims: set[Any]) -> dict[Any, set[str]]:
    """Return by claim all the ids its payer goes by."""
    rows = InsuranceClaim.all_objects.filter(pk__in=claims).values_list(
        "pk",
        "patient_insurance__insurance_plan__provider__payer_id",
        "patient_insurance__insurance_plan__provider__electronic_claims_id",
        "patient_insurance__insurance_plan__provider__routes__payer_id",
    )
    found: dict[Any, set[str]] = {}
    for key, *ids in rows:
        found.setdefault(key, set()).update(filter(None, ids))
    return found


@transaction.atomic
def take_277(source: Source, statuses: Iterable[ClaimStatus]) -> Outcome:
    """Note what payers say to our questions where claims stand; only a person or a later answer acts on it."""
    told = [status for status in statuses if status.trace]
    asked = _asked(source, {status.trace for status in told})
    words, answers = [], dict[Any, list[str]]()
    for status in told:
        inquiry = asked.get(status.trace)
        words.append(
            Word(Stage.STATUS, "277", category(status), source.offset + status.position,
                 claim_id=inquiry.claim_id if inquiry else None, details=codes(status),
                 payer_claim_number=status.payer_claim_number, event_on=status.stated_on)
        )  # fmt: skip
        if inquiry:
            answers.setdefault(inquiry.pk, []).extend(one for one in codes(status) if one != OF_A_LINE)
    heard = standing.hear(source, words)
    _answer(source, answers)
    unknown = (f"{heard.unknown} answers name no question of ours.",) if heard.unknown else ()
    return Outcome(unknown, is_partly=bool(heard.unknown))


def _asked(source: Source, traces: set[str]) -> dict[str, StatusInquiry]:
    rows = StatusInquiry.all_objects.filter(Q(partner=source.file.partner_id), trace__in=traces)
    return {row.trace: row for row in rows}


def _answer(source: Source, answers: Mapping[Any, list[str]]) -> None:
    now = timezone.now()
    waiting = StatusInquiry.all_objects.select_for_update(no_key=True).filter(pk__in=list(answers))
    rows = list(waiting.filter(status__in=[*OPEN, InquiryStatus.EXPIRED]).order_by("pk"))
    for row in rows:
        row.codes = list(dict.fromkeys(answers[row.pk]))
        unable = all(code.startswith(UNABLE) for code in row.codes)
        row.status = InquiryStatus.REJECTED if unable else InquiryStatus.ANSWERED
        row.answered_at, row.answer_file_id, row.updated_at = now, source.file.pk, now
    StatusInquiry.all_objects.bulk_update(rows, ["codes", "status", "answered_at", "answer_file", "updated_at"])
