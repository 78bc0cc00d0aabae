"""What a partner answers to a whole file or transaction; without it claims of a refused file would wait for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple, Protocol

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges, pauses, standing
from backend.apps.insurance.given_up import REFUSED
from backend.apps.insurance.models import (
    EligibilityInquiry,
    Interchange,
    Stage,
    StatusInquiry,
)
from backend.apps.insurance.models.inquiries import OPEN, InquiryStatus
from backend.apps.insurance.standing import Source, Try, Verdict, Word

KIND = "claims_file_refused"
DUPLICATE = "025"
# TA105 about who we are, who they are, test or production, the version or separators: the next file would fare no
# better. X12.5, data element I18.
SETUP = frozenset(
    {"002", "003", "004", "005", "006", "007", "008", "009", "010", "011", "012", "013", "016", "017", "020", "025",
     "026", "027"}
)  # fmt: skip
ACCEPTED = frozenset({"A", "E"})
TAKEN = frozenset({*ACCEPTED, "P"})  # of a group, P: what is not named as refused was taken
MOST_FAULTS = 6  # of one claim that are told
CODE = re.compile(r"[0-9]{0,6}|[0-9]{4}[A-Z]{1,2}|[A-Z][A-Z0-9]{0,2}").fullmatch  # 8, 2400, 2010AA, NM1, I12


class Ta1(Protocol):
    @property
    def interchange_number(self) -> str: ...
    @property
    def sent_on(self) -> date | None: ...
    @property
    def verdict(self) -> str: ...
    @property
    def note_code(self) -> str: ...


class Ack999(Protocol):
    @property
    def group_number(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def codes(self) -> Sequence[str]: ...
    @property
    def sets(self) -> Sequence[Any]: ...


class Outcome(NamedTuple):
    """What became of one transaction. findings: sentences without values. is_partly: something waits for a person.

    is_duplicate: it had been applied from another file. is_refused: nothing of it was applied.
    """

    findings: tuple[str, ...] = ()
    is_partly: bool = False
    is_duplicate: bool = False
    is_refused: bool = False


@transaction.atomic
def take_ta1(source: Source, ta1: Ta1) -> Outcome:
    """Apply the answer to one interchange; a second number on a second try proves that the first one arrived."""
    sent = _ours(source, interchange_number=_number(ta1.interchange_number))
    event_on = ta1.sent_on
    word = Word(Stage.INTERCHANGE, "TA1", ta1.verdict, source.offset + 1, details=(ta1.note_code,), event_on=event_on)
    if sent is None:
        standing.store(source, [(word, False)])
        return Outcome(("A TA1 names no file of ours.",), is_partly=True)
    is_proof = ta1.verdict != "R" or _was_seen(sent, ta1.note_code)
    if standing.prove_sent(source.file.partner_id, [sent.pk], proof="TA1"):
        return _of_others(source, word)
    if is_proof:
        return _taken(source, sent, word)
    return _turned_back(source, sent, word, ta1.note_code)


def _of_others(source: Source, word: Word) -> Outcome:
    standing.store(source, [(word, False)])
    return Outcome((standing.NEVER_LEFT,), is_partly=True)


def _taken(source: Source, sent: Interchange, word: Word) -> Outcome:
    _each(source, sent, word._replace(verdict=Verdict.ARRIVED))
    _note_ta1(sent, word, "R" if word.code == "R" and sent.ta1_code == "R" else "A" if word.code == "R" else word.code)
    return Outcome(("The file has errors that the partner let pass.",) if word.code == "E" else ())


def _turned_back(source: Source, sent: Interchange, word: Word, note: str) -> Outcome:
    reason = f"The file was turned back: TA1 {note}."
    _each(source, sent, word._replace(verdict=Verdict.RETURNED, reason=reason))
    _note_ta1(sent, word, "R")
    refused = Interchange.all_objects.filter(pk=sent.pk, acknowledged_at=None)
    refused.update(status=Interchange.Status.REJECTED, status_reason=reason, updated_at=timezone.now())
    _refuse_questions(sent, f"TA1:R:{note}")
    _tell(sent, f"{sent.partner.name} turned back file {sent.interchange_number} as a whole (TA1 {note}).")
    if note in SETUP:
        pauses.stop(sent.partner, reason=f"It turns our files back: TA1 {note}.")
    return Outcome((reason,))


def _was_seen(sent: Interchange, note: str) -> bool:
    """Whether a duplicate number only says that an earlier try of ours had arrived.

    That a worker took the file twice proves nothing: the partner may not have been reached. Its earlier answers do, or
    that the file was on its way before the last try.
    """
    is_answered = sent.ta1_code in ACCEPTED or sent.acknowledged_at is not None
    return note == DUPLICATE and (is_answered or interchanges.may_have_gone_twice(sent))


def _note_ta1(sent: Interchange, word: Word, code: str) -> None:
    first = Interchange.all_objects.filter(Q(ta1_at=None) | ~Q(ta1_code="R"), pk=sent.pk)
    first.update(ta1_at=timezone.now(), ta1_code=code[:1], ta1_note=word.details[0][:3], updated_at=timezone.now())


@transaction.atomic
def take_999(source: Source, ack: Ack999) -> Outcome:
    """Apply the answer to one group; a claim that is at fault is refused alone, its neighbours are queued again."""
    sent = _ours(source, group_number=_number(ack.group_number))
    word = Word(
        Stage.SYNTAX, "999", ack.verdict, source.offset + 1, details=_codes(ack.codes), event_on=standing.day(source)
    )
    if sent is None:
        standing.store(source, [(word, False)])
        return Outcome(("A 999 names no group of ours.",), is_partly=True)
    if standing.prove_sent(source.file.partner_id, [sent.pk], proof="999"):
        return _of_others(source, word)
    claims = standing.tries(interchange=sent)
    words, outside = _words(word, ack, claims)
    standing.hear(source, words or [word._replace(interchange_id=sent.pk)])
    now = timezone.now()
    Interchange.all_objects.filter(pk=sent.pk, acknowledged_at=None).update(
        acknowledged_at=now, status=Interchange.Status.ACKNOWLEDGED, updated_at=now
    )
    if outside:
        _tell(sent, f"{sent.partner.name} refused file {sent.interchange_number} for a fault outside its claims (999).")
    if sent.kind != Interchange.Kind.CLAIMS:
        _refuse_questions_of(sent, ack)
    return Outcome(tuple(outside), is_partly=False)


def _words(word: Word, ack: Ack999, claims: Sequence[Try]) -> tuple[list[Word], list[str]]:
    """Return a word for each claim, and sentences about faults that no claim has."""
    words: list[Word] = []
    outside: list[str] = []
    by_set: dict[int, list[Try]] = {}
    for claim in claims:
        by_set.setdefault(_number(claim.transaction_number), []).append(claim)
    named = {_number(told.control_number) for told in ack.sets}
    unnamed = [claim for number, ones in by_set.items() if number not in named for claim in ones]
    if unnamed or not ack.sets:
        words += _of_group(word, unnamed, ack, outside)
    for told in ack.sets:
        inside = by_set.get(_number(told.control_number), [])
        said = word._replace(
            segment=word.segment + told.segment - 1,
            code=told.verdict or ack.verdict.replace("P", ""),
            details=_codes(told.codes),
        )
        if said.code not in REFUSED:
            words += _of_group(said, inside, ack, outside)
            continue
        owners, strays = owners_of(told.errors, inside)
        if strays or not owners:
            outside.append(
                f"A transaction was refused: 999 {' '.join([said.code, *said.details, *strays[:MOST_FAULTS]])}."
            )
        words += _refused(said, inside, owners, outside[-1] if strays or not owners else "")
    return words, outside


def _of_group(said: Word, claims: Sequence[Try], ack: Ack999, outside: list[str]) -> list[Word]:
    """Return the words for claims that no refusal names: they share what becomes of the group.

    A 999 may name refused transactions only. A group that is refused is so with what was good in it.
    """
    if ack.verdict in REFUSED:
        reason = f"The group was refused: 999 {' '.join([ack.verdict, *_codes(ack.codes)])}."
        outside += [reason] if reason not in outside else []
        return _all(said._replace(code=ack.verdict, details=_codes(ack.codes)), claims, Verdict.REJECTED, reason)
    return _all(said, claims, Verdict.PENDING if said.code in TAKEN else Verdict.NOTED, "")


def _refused(said: Word, inside: Sequence[Try], owners: dict[Any, list[str]], outside: str) -> list[Word]:
    words = []
    for claim in inside:
        faults = owners.get(claim.pk)
        if faults:
            told = said._replace(details=(*said.details, *faults[:MOST_FAULTS]), verdict=Verdict.REJECTED)
            words.append(told._replace(submission=claim, reason=f"999: {', '.join(faults[:MOST_FAULTS])}"))
        elif outside:
            words.append(said._replace(submission=claim, verdict=Verdict.REJECTED, reason=outside))
        else:
            words.append(said._replace(submission=claim, verdict=Verdict.REQUEUED))
    return words


def owners_of(errors: Sequence[Any], claims: Sequence[Try]) -> tuple[dict[Any, list[str]], list[str]]:
    """Return by submission which faults are its own, and those of no claim. Faults are places and codes only."""
    by_number = {claim.claim_control_number: claim for claim in claims}
    owners: dict[Any, list[str]] = {}
    strays: list[str] = []
    for error in errors:
        claim = _named(error.claim, by_number) or _around(error.position, claims)
        if claim is None:
            strays.append(fault(error))
        else:
            owners.setdefault(claim.pk, []).append(fault(error))
    return owners, strays


def _named(number: str, by_number: dict[str, Try]) -> Try | None:
    """Return the claim of a number that may be cut short, where only one begins so."""
    if not number:
        return None
    exact = by_number.get(number)
    alike = [claim for known, claim in by_number.items() if known.startswith(number)] if exact is None else []
    return exact or (alike[0] if len(alike) == 1 else None)


def _around(position: int, claims: Sequence[Try]) -> Try | None:
    return next(
        (one for one in claims if one.first_segment and one.first_segment <= position <= (one.last_segment or 0)), None
    )


def fault(error: Any) -> str:
    """Return "2400 SV1 8 (1:7)": loop, segment, its code, then place and code of its elements; never our data."""
    elements = "".join(f" ({one.element}:{_code(one.code)})" for one in error.elements[:3])
    return f"{_code(error.loop)} {_code(error.segment_id)} {_code(error.code)}{elements}".strip()


def _codes(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(_code(text) for text in texts)


def _code(text: str) -> str:
    """Return a code as it is; what is none may be anything, also a name."""
    return text if CODE(text) else "?"


def _all(word: Word, claims: Sequence[Try], verdict: str, reason: str) -> list[Word]:
    return [word._replace(submission=claim, verdict=verdict, reason=reason) for claim in claims]


def _each(source: Source, sent: Interchange, word: Word) -> None:
    """Say a word to each claim of a file; once about the file where it holds none."""
    words = [word._replace(submission=claim) for claim in standing.tries(interchange=sent)]
    standing.hear(source, words or [word._replace(interchange_id=sent.pk)])


def _ours(source: Source, **number: int) -> Interchange | None:
    """Return and lock a file of ours: a person may be about to decide what became of it."""
    rows = Interchange.all_objects.filter(partner=source.file.partner_id, **number)
    locked = rows.select_for_update(of=("self",), no_key=True)
    return locked.select_related("partner").defer("content").first()


def _number(text: str) -> int:
    """Return a control number, leading zeros or not; 0, which no file has, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _refuse_questions_of(sent: Interchange, ack: Ack999) -> None:
    refused = {_number(told.control_number) for told in ack.sets if told.verdict in REFUSED}
    if ack.verdict in REFUSED:  # with what was good in it
        _refuse_questions(sent, "999:R")
    elif refused:
        _refuse_questions(sent, "999:R", trace__in=_traces(sent, refused))


def _traces(sent: Interchange, numbers: set[int]) -> list[str]:
    """Return TRN02 of the questions in transactions of a file of ours, by their ST02."""
    text = bytes(sent.content).decode("latin-1")
    element, end = text[3:4], text[105:106]
    found, number = [], 0
    for segment in text.split(end or None):
        name, *rest = segment.strip().split(element or None)
        if name == "ST":
            number = _number(rest[1])
        elif name == "TRN" and number in numbers:
            found.append(rest[1])
    return found


def _refuse_questions(sent: Interchange, code: str, **which: Any) -> None:
    """Put questions of a refused file back in line; one that was refused before is not asked again."""
    for model in (EligibilityInquiry, StatusInquiry):
        rows: models.QuerySet[Any] = model.all_objects.filter(interchange=sent, status__in=OPEN, **which)
        now = timezone.now()
        rows.exclude(codes=[]).update(status=InquiryStatus.REJECTED, codes=[code], answered_at=now, updated_at=now)
        rows.filter(codes=[]).update(
            status=InquiryStatus.QUEUED, codes=[code], interchange=None, sent_at=None, updated_at=now
        )


def _tell(sent: Interchange, sentence: str) -> None:
    alerts.open_once(
        f"claims file refused:{sent.pk}", kind=KIND, sentence=sentence, severity=Alert.Severity.CRITICAL, subject=sent
    )
