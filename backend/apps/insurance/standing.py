"""Writes down what partners say of claims and moves the claims by it; without it the order of answers would matter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import TextChoices
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.bulk import write_each
from backend.apps.core.models import Clinic
from backend.apps.insurance import given_up, interchanges
from backend.apps.insurance.given_up import First
from backend.apps.insurance.models import AckEvent, InboundFile, InsuranceClaim, Interchange, Stage, Submission
from backend.apps.insurance.models.submissions import LIVE

Status = InsuranceClaim.Status
JUDGED = (*LIVE, Submission.Status.REJECTED, Submission.Status.ADJUDICATED)  # a refused one is judged late, but is
TOUCHED = "updated_at = now()"
REASON_LENGTH, CLAIM_REASON_LENGTH, NUMBER_LENGTH = 300, 1000, 50
OF_A_LINE = "SVC"  # the first of a word's details where it is about one line of a claim and not about all of it
FOREIGN = "claims_foreign_numbers"
NEVER_LEFT = "It answers to a file that never left here: somebody else uses our numbers, or this database was restored."
TRY = ("pk", "claim_id", "interchange_id", "transaction_number", "batch_reference", "claim_control_number", "status",
       "frequency", "original_reference", "first_segment", "last_segment", "queued_at", "sent_at")  # fmt: skip


class Verdict(TextChoices):
    """What a word makes of a claim, by the strength it has within one stage."""

    NOTED = "noted"  # nothing
    ARRIVED = "arrived"  # nothing either, but its file is there
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETURNED = "returned"  # a draft again: its file was turned back
    REQUEUED = "requeued"  # a draft that goes with the next file, for another claim was at fault


BECOMES: Mapping[str, tuple[str, str]] = {
    Verdict.PENDING: (Status.PENDING, Submission.Status.PENDING),
    Verdict.ACCEPTED: (Status.ACCEPTED, Submission.Status.ACCEPTED),
    Verdict.REJECTED: (Status.REJECTED, Submission.Status.REJECTED),
    Verdict.RETURNED: (Status.DRAFT, Submission.Status.REJECTED),
    Verdict.REQUEUED: (Status.DRAFT, Submission.Status.REQUEUED),
}
TAKEN_IN = frozenset({Verdict.PENDING, Verdict.ACCEPTED})
STRENGTH: Mapping[str, int] = {
    Status.PENDING: 1,
    Status.ACCEPTED: 2,
    Status.REJECTED: 3,
    Status.DRAFT: 3,
}
WEAK = ("A5", "P", "R", "F", "D", "E")  # categories of a 277CA that only say: we have it

Rank = tuple[int, int, date]


class Source(NamedTuple):
    """Where words stand: a file, and a transaction in it.

    offset: segments of the file before that transaction. place: which transaction of the file it is, from 1; numbers
    of transactions come again in the next interchange of the same file.
    """

    file: InboundFile
    transaction_number: str
    offset: int = 0
    place: int = 1


class Try(NamedTuple):
    """A submission as far as answers need it."""

    pk: UUID
    claim_id: UUID
    interchange_id: UUID | None
    transaction_number: str
    batch_reference: str
    claim_control_number: str
    status: str
    frequency: str
    original_reference: str
    first_segment: int | None
    last_segment: int | None
    queued_at: datetime
    sent_at: datetime | None


class Word(NamedTuple):
    """One thing a partner said. segment: its place in the file. reason: for people, in codes and without values."""

    stage: int
    kind: str
    code: str
    segment: int
    verdict: str = Verdict.NOTED
    submission: Try | None = None
    submission_id: UUID | None = None
    claim_id: UUID | None = None
    interchange_id: UUID | None = None
    details: tuple[str, ...] = ()
    reason: str = ""
    payer_claim_number: str = ""
    event_on: date | None = None

    @property
    def about(self) -> UUID | None:
        return self.submission.claim_id if self.submission else self.claim_id

    @property
    def rank(self) -> Rank:
        strength = STRENGTH[BECOMES[self.verdict][0]] if self.verdict in BECOMES else 0
        stage = Stage.SYNTAX if is_weak(self.kind, self.code) else self.stage
        return (stage, strength, self.event_on or date.min)


class Standing(NamedTuple):
    """A locked claim as words find it."""

    pk: UUID
    status: str
    denial_reason: str
    response_date: date | None
    submission_date: date | None
    insurance_reference_number: str


class Heard(NamedTuple):
    """new: words not heard before. moved: claims that stand elsewhere. unknown: all words about no claim."""

    new: int
    moved: int
    unknown: int


def is_weak(kind: str, code: str) -> bool:
    return kind == "277CA" and code.startswith(WEAK)


def tries(**where: Any) -> list[Try]:
    """Return submissions that went into a file, the oldest first."""
    rows = Submission.all_objects.filter(interchange__isnull=False, **where).order_by("pk")
    return [Try(*row) for row in rows.values_list(*TRY)]


def day(source: Source) -> date:
    """Return the clinic's day on which a file came."""
    return timezone.localdate(source.file.received_at, timezone=Clinic.current().zone)


def prove_sent(partner_id: UUID, interchange_ids: Iterable[UUID | None], *, proof: str) -> set[UUID]:
    """Note that files arrived which we were not sure of: their partner answers them.

    Returns the files that no partner can have seen: what is said of those is not about ours, and a person is told. That
    a worker has begun with a file says nothing: how far it came is committed before the partner sees it. Locks them
    all: what is done about a file and its claims locks the file first.
    """
    rows = Interchange.all_objects.filter(pk__in={key for key in interchange_ids if key}, partner=partner_id)
    locked = rows.select_for_update(of=("self",), no_key=True).order_by("pk")
    foreign = set()
    for one in locked.select_related("partner").defer("content"):
        if one.status not in interchanges.UNSENT:
            continue
        if one.status != Interchange.Status.READY or one.status_reason.startswith(interchanges.AGAIN):
            interchanges.mark_sent(one, at=timezone.now(), proof=proof)
            continue
        foreign.add(one.pk)
        sentence = f"{one.partner.name} answers by a {proof} to file {one.interchange_number}. {NEVER_LEFT}"
        alerts.open_once(f"claims foreign numbers:{one.pk}", kind=FOREIGN, sentence=sentence, subject=one)
    return foreign


@transaction.atomic
def hear(source: Source, words: Sequence[Word]) -> Heard:
    """Store words and move their claims forward; the statements are as many for one claim as for thousands.

    A later stage is not undone by an earlier one, and within a stage a rejection stands above an acceptance: any order
    gives the same end. Safe to repeat: a segment of the same bytes counts once. `prove_sent` locks their files before.
    """
    claims = _locked({word.about for word in words if word.about})
    words = _read_again(words)
    best = _best([word.submission.pk for word in words if word.submission])
    if revived := _revived(words, claims, best):
        claims.update(_locked(revived))
    current = _current(claims)
    moves = _moves(words, claims, current, best)
    stored = store(source, [(word, moves.get(word.about or source.file.pk) is word) for word in words])
    moves = {key: word for key, word in moves.items() if (key, word.segment) in stored}
    if moves:
        _move(claims, moves)
    news = (word for word in words if (word.about, word.segment) in stored)
    given_up.tell_of_taken_in(_taken_in(news, claims, current, best))
    unknown = sum(1 for word in words if word.about is None and word.interchange_id is None)
    return Heard(len(stored), len(moves), unknown)


def _locked(keys: set[UUID]) -> dict[UUID, Standing]:
    """Lock claims in one order, so that two files about the same ones wait for each other and do not deadlock."""
    rows = InsuranceClaim.all_objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    return {row[0]: Standing(*row) for row in rows.values_list(*Standing._fields)}


def _read_again(words: Sequence[Word]) -> list[Word]:
    """Return the words with where their tries stand by now: a person may have given the file up in between."""
    rows = Submission.all_objects.filter(pk__in={word.submission.pk for word in words if word.submission})
    stand = dict(rows.values_list("pk", "status"))
    return [
        word._replace(submission=word.submission._replace(status=stand[word.submission.pk]))
        if word.submission
        else word
        for word in words
    ]


def _current(claims: Iterable[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Return each claim's last try and where it stands: only what is said of that one moves the claim."""
    rows = Submission.all_objects.filter(claim__in=list(claims)).exclude(status=Submission.Status.WITHDRAWN)
    return {claim: (key, status) for claim, key, status in rows.order_by("pk").values_list("claim_id", "pk", "status")}


def _revived(words: Sequence[Word], claims: Mapping[UUID, Standing], best: Mapping[UUID, Rank]) -> set[UUID]:
    """Take back the second try of claims whose first one arrived after all; return those claims.

    A file that was given up as not received may still be answered. What was turned back for a neighbour's fault had
    arrived before that: only a later stage says that it was taken in all the same.
    """
    arrived = {
        word.submission.claim_id: First(word.submission.pk, word.submission.interchange_id)
        for word in words
        if word.submission
        and word.submission.status == Submission.Status.REQUEUED
        and word.verdict in {Verdict.ARRIVED, *TAKEN_IN}
        and (word.submission.pk not in best or word.rank > best[word.submission.pk])
        and claims[word.submission.claim_id].status in {Status.DRAFT, Status.SUBMITTED}
    }
    return given_up.revive(arrived)


def _taken_in(
    words: Iterable[Word],
    claims: Mapping[UUID, Standing],
    current: Mapping[UUID, tuple[UUID, str]],
    best: Mapping[UUID, Rank],
) -> dict[UUID, First]:
    """Return drafts of which a later stage than the one that turned them back says that it took them in."""
    found = {}
    for word in words:
        tried = word.submission
        if tried is None or word.verdict not in TAKEN_IN or claims[tried.claim_id].status != Status.DRAFT:
            continue
        is_over = tried.status == Submission.Status.REJECTED
        is_over = is_over or current.get(tried.claim_id) == (tried.pk, Submission.Status.REQUEUED)
        if is_over and (tried.pk not in best or word.rank > best[tried.pk]):
            found[tried.claim_id] = First(tried.pk, tried.interchange_id)
    return found


def _best(submissions: Sequence[UUID]) -> dict[UUID, Rank]:
    """Return by submission how far the words have come that moved it."""
    best: dict[UUID, Rank] = {}
    rows = AckEvent.objects.filter(submission__in=submissions, was_applied=True)
    for key, stage, kind, code, event_on, details in rows.values_list(
        "submission_id", "stage", "kind", "code", "event_on", "details"
    ):
        weak = Stage.SYNTAX if is_weak(kind, code) else stage
        rank = (weak, _strength(kind, code, details), event_on or date.min)
        best[key] = max(best.get(key, rank), rank)
    return best


def _strength(kind: str, code: str, details: Sequence[str]) -> int:
    """Return how strong a stored word is within its stage; it was applied, so it said more than nothing."""
    if kind == "277CA":
        return 2 if code == "A2" else 3 if code in REJECTING else 1
    return 1 if kind == "999" and code in {"A", "E", "P"} else 3


REJECTING = frozenset({"A3", "A4", "A6", "A7", "A8"})


def _moves(
    words: Sequence[Word],
    claims: Mapping[UUID, Standing],
    current: Mapping[UUID, tuple[UUID, str]],
    best: Mapping[UUID, Rank],
) -> dict[Any, Word]:
    """Return by claim the word that decides where it stands now."""
    moves: dict[Any, Word] = {}
    for word in words:
        tried = word.submission
        if tried is None or word.verdict not in BECOMES:
            continue
        last, state = current.get(tried.claim_id, (None, ""))
        if last != tried.pk or not _may(claims[tried.claim_id].status, state, word):
            continue
        known = best.get(tried.pk)
        if known is not None and word.rank <= known:
            continue
        chosen = moves.get(tried.claim_id)
        if chosen is None or chosen.rank < word.rank:
            moves[tried.claim_id] = word
    return moves


def _may(status: str, tried: str, word: Word) -> bool:
    """Whether a word may move a claim; tried: where its last try stands.

    A refusal gives way to a later stage until a person has taken the claim back, and an acceptance that a partner told;
    one that a person entered stands. A judgement stands whoever noted it: no word of this kind takes one back. A claim
    whose try has come to its end is put in line again by nobody but a person.
    """
    to = BECOMES[word.verdict][0]
    is_refused = tried == Submission.Status.REJECTED and status == Status.REJECTED and to != Status.DRAFT
    is_entered = status == Status.ACCEPTED and tried != Submission.Status.ACCEPTED and to == Status.PENDING
    is_reachable = to == status or to in InsuranceClaim.TRANSITIONS[Status(status)]
    is_judged = status in {Status.PAID, Status.DENIED, Status.APPEALED}
    return (tried in LIVE or is_refused) and is_reachable and not is_entered and not is_judged


def _move(claims: Mapping[UUID, Standing], moves: Mapping[Any, Word]) -> None:
    """Write where claims and their submissions stand now, each kind of row in one statement."""
    rows = [_stands(claims[key], word) for key, word in moves.items()]
    columns = {name: [getattr(row, name) for row in rows] for name in Standing._fields[1:]}
    before = {"status": [claims[row.pk].status for row in rows]}
    write_each(InsuranceClaim, [row.pk for row in rows], columns, also=TOUCHED, matched=before)
    said = list(moves.values())
    states = {
        "status": [BECOMES[word.verdict][1] for word in said],
        "status_reason": [word.reason[:REASON_LENGTH] for word in said],
    }
    write_each(Submission, [word.submission.pk for word in said if word.submission], states, also=TOUCHED)
    if again := [word.submission.pk for word in said if word.verdict == Verdict.REQUEUED and word.submission]:
        with connection.cursor() as cursor:
            cursor.execute(interchanges.REQUEUE, [again])


def _stands(claim: Standing, word: Word) -> Standing:
    status, _ = BECOMES[word.verdict]
    refused = word.verdict in {Verdict.REJECTED, Verdict.RETURNED}
    is_draft = status == Status.DRAFT
    return claim._replace(
        status=status,
        denial_reason=word.reason[:CLAIM_REASON_LENGTH] if refused else "",
        response_date=None if is_draft else word.event_on or claim.response_date,
        submission_date=None if is_draft else claim.submission_date,
        insurance_reference_number=word.payer_claim_number[:NUMBER_LENGTH] or claim.insurance_reference_number,
    )


INSERT = """
INSERT INTO insurance_ackevent (
    id, created_at, partner_id, file_id, file_sha256, transaction_number, interchange_id, submission_id, claim_id,
    stage, kind, code, details, payer_claim_number, event_on, segment_index, was_applied)
SELECT uuidv7(), clock_timestamp(), %s, %s, %s, %s, word.*
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::text[], %s::text[], %s::jsonb[], %s::text[], %s::date[],
            %s::int[], %s::bool[]) AS word
ON CONFLICT DO NOTHING RETURNING claim_id, segment_index
"""


def store(source: Source, words: Sequence[tuple[Word, bool]]) -> set[tuple[UUID | None, int]]:
    """Add words with whether each moves its claim; return (claim, segment) of those not heard before."""
    if not words:
        return set()
    file = source.file
    rows = [
        (
            word.interchange_id or (word.submission.interchange_id if word.submission else None),
            word.submission.pk if word.submission else word.submission_id,
            word.about, int(word.stage), word.kind, word.code[:12], json.dumps(list(word.details)),
            word.payer_claim_number[:NUMBER_LENGTH], word.event_on, word.segment, moved,
        )
        for word, moved in words
    ]  # fmt: skip
    given: list[Any] = [file.partner_id, file.pk, file.sha256, source.transaction_number[:9]]
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [*given, *([*column] for column in zip(*rows, strict=True))])
        return set(cursor.fetchall())


def adjudicated(claim_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Note that a payer has judged what went to it; return by claim the try it judged."""
    rows = Submission.all_objects.filter(claim__in=claim_ids, interchange__isnull=False, status__in=JUDGED)
    judged = dict(rows.order_by("pk").values_list("claim_id", "pk"))
    moved = {"status": Submission.Status.ADJUDICATED, "updated_at": timezone.now()}
    Submission.all_objects.filter(pk__in=list(judged.values())).update(**moved)
    return judged
