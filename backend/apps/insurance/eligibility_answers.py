"""Takes what payers say of coverages; without it a plan that ended would be found out by a denial.

All answers of a file are taken together: the statements are as many for one as for hundreds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from backend.apps.core.bulk import update_each
from backend.apps.core.models import Clinic
from backend.apps.insurance import eligibility, inquiries
from backend.apps.insurance.eligibility import CHANGED
from backend.apps.insurance.models import EligibilityInquiry, InboundFile, PartnerPayer, PatientInsurance
from backend.apps.insurance.models.inquiries import OPEN, InquiryStatus

TRIES, FIRST_WAIT = 5, timedelta(hours=1)  # of a payer that says "later"; the wait doubles
MOST_BENEFITS = 200
MOST_AT_ONCE = 500  # answers of one transaction

# AAA03: the payer could not answer now; it does not know the person as we wrote it.
LATER = frozenset({"42", "80"})
MEMBER = frozenset({"58", "60", "61", "64", "65", "66", "67", "68", "71", "72", "73", "74", "75", "76", "77", "78"})
LEVELS = frozenset({"source", "receiver", "subscriber", "dependent", "benefit"})
COVERED = frozenset({"CHD", "DEP", "ECH", "EMP", "ESP", "FAM", "IND", "SPC", "SPO"})  # EB02: of whom it is said
CODE = re.compile(r"[A-Z0-9]{1,2}")  # of EB and AAA; what is longer is no code, and may be a name
COUNT = re.compile(r"\d{1,13}(\.\d{1,4})?")
WRITTEN = ("status", "answered_at", "answer_file", "is_active", "plan_from", "plan_to", "codes", "benefits")

APPLIED, NOTED, AGAIN, REPEATED, UNKNOWN = "applied", "noted", "again", "repeated", "unknown"


class Reject(Protocol):
    """AAA. code: AAA03; follow_up: AAA04."""

    @property
    def level(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def follow_up(self) -> str: ...


class Answer(Protocol):
    """One person's part of a 271, or, at level "source" or "receiver", why nobody's question is answered."""

    @property
    def level(self) -> str: ...
    @property
    def traces(self) -> Sequence[str]: ...
    @property
    def reference(self) -> str: ...
    @property
    def payer_id(self) -> str: ...
    @property
    def plan_begins(self) -> date | None: ...
    @property
    def plan_ends(self) -> date | None: ...
    @property
    def rejects(self) -> Sequence[Reject]: ...
    @property
    def benefits(self) -> Sequence[Any]: ...
    @property
    def active(self) -> bool | None: ...


@dataclass
class Asked:
    """The locked questions and coverages that answers are about, and what the answers make of them.

    newest: by coverage when the latest question was asked that says whether it holds. holds: what coverages become.
    """

    questions: dict[UUID, EligibilityInquiry]
    coverages: dict[UUID, PatientInsurance]
    newest: dict[UUID, datetime]
    zone: tzinfo
    changed: dict[UUID, EligibilityInquiry] = field(default_factory=dict)
    holds: dict[UUID, bool] = field(default_factory=dict)
    later: dict[UUID, EligibilityInquiry] = field(default_factory=dict)


def take_each(answers: Iterable[Answer], *, file: InboundFile) -> list[str]:
    """Note what a payer says and verify the coverages by it; return what became of each answer. Safe to repeat.

    "applied"; "noted", which changes no coverage; "again", to be asked later; "repeated"; "unknown", we did not ask.
    """
    found: list[str] = []
    some: list[Answer] = []
    for answer in answers:
        some.append(answer)
        if len(some) == MOST_AT_ONCE:
            found += _take(some, file)
            some = []
    return found + _take(some, file)


@transaction.atomic
def _take(answers: Sequence[Answer], file: InboundFile) -> list[str]:
    meant = _meant(answers, file)
    if not any(meant):
        return [UNKNOWN] * len(answers)
    asked = _locked({key for keys in meant for key in keys})
    outcomes = [
        {key: _take_one(asked, key, answer, file) for key in keys} for answer, keys in zip(answers, meant, strict=True)
    ]
    update_each(asked.changed.values(), WRITTEN)
    _verify(asked)
    again = _ask_later(asked.later.values())
    return [_told(words, again) for words in outcomes]


def _told(words: dict[UUID, str], again: set[UUID]) -> str:
    said = {NOTED if word == AGAIN and key not in again else word for key, word in words.items()}
    return next((word for word in (APPLIED, NOTED, AGAIN, REPEATED) if word in said), UNKNOWN)


def _meant(answers: Sequence[Answer], file: InboundFile) -> list[list[UUID]]:
    """Return the questions each answer is about: by its trace, else all that payer got in the file it names."""
    ours = EligibilityInquiry.objects.filter(partner=file.partner_id)
    traces = {trace for answer in answers for trace in answer.traces if trace}
    known = dict(ours.filter(trace__in=traces).values_list("trace", "pk"))
    meant = []
    for answer in answers:
        if any(answer.traces):
            meant.append([known[trace] for trace in answer.traces if trace in known][:1])
        else:
            meant.append(_of_file(answer, file))
    return meant


def _of_file(answer: Answer, file: InboundFile) -> list[UUID]:
    number = answer.reference[:9]
    if answer.level not in {"source", "receiver"} or not (number.isascii() and number.isdigit()):
        return []
    rows = EligibilityInquiry.objects.filter(
        partner=file.partner_id,
        interchange__partner=file.partner_id,
        interchange__interchange_number=int(number),
        status__in=OPEN,
    )
    if answer.payer_id:
        theirs = PartnerPayer.objects.filter(partner=file.partner_id, payer_id=answer.payer_id)
        rows = rows.filter(coverage__insurance_plan__provider__in=theirs.values("provider"))
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _locked(keys: set[UUID]) -> Asked:
    """Lock the coverages, then their questions, as whoever changes a coverage does, each in one order."""
    wanted = EligibilityInquiry._base_manager.filter(pk__in=keys)
    covers = PatientInsurance._base_manager.filter(pk__in=wanted.values("coverage"))
    coverages = {row.pk: row for row in covers.select_for_update(no_key=True).order_by("pk")}
    questions = {row.pk: row for row in wanted.select_for_update(no_key=True).order_by("pk")}
    answered = EligibilityInquiry.objects.filter(coverage__in=coverages, is_active__isnull=False).order_by()
    newest = dict(answered.values_list("coverage").annotate(last=Max("queued_at")).values_list("coverage", "last"))
    return Asked(questions, coverages, newest, Clinic.current().zone)


def _take_one(asked: Asked, key: UUID, answer: Answer, file: InboundFile) -> str:
    question = asked.questions[key]
    if question.status == InquiryStatus.ANSWERED or (question.status == InquiryStatus.REJECTED and answer.rejects):
        return REPEATED
    holds = _holds(answer, question.service_on)
    newest = asked.newest.get(question.coverage_id, question.queued_at)
    counts = CHANGED not in question.codes and newest <= question.queued_at
    _write_down(question, answer, file)
    asked.changed[key] = question
    if holds is not None:
        asked.newest[question.coverage_id] = max(newest, question.queued_at)
        if counts and _may_verify(asked.coverages[question.coverage_id], question, asked.zone):
            asked.holds[question.coverage_id] = holds
            return APPLIED
    if answer.rejects and {one.code for one in answer.rejects} <= LATER:
        asked.later[key] = question
        return AGAIN
    return NOTED


def _holds(answer: Answer, day: date) -> bool | None:
    """Return whether the payer says that the plan holds on that day; None when it does not say."""
    if answer.rejects and answer.active is None:
        return False if MEMBER & {one.code for one in answer.rejects} else None
    if not answer.active:
        return answer.active
    return (answer.plan_begins or day) <= day <= (answer.plan_ends or day)


def _write_down(question: EligibilityInquiry, answer: Answer, file: InboundFile) -> None:
    silent = answer.rejects and answer.active is None
    question.status = InquiryStatus.REJECTED if silent else InquiryStatus.ANSWERED
    question.answered_at, question.answer_file = timezone.now(), file
    question.is_active = _holds(answer, question.service_on)
    question.plan_from, question.plan_to = answer.plan_begins, answer.plan_ends
    changed = [CHANGED] if CHANGED in question.codes else []
    question.codes = changed + [_refusal(one) for one in answer.rejects]
    question.benefits = [_benefit(one) for one in answer.benefits[:MOST_BENEFITS]]


def _refusal(one: Reject) -> str:
    level = one.level if one.level in LEVELS else "other"
    return f"AAA:{level}:{_code(one.code)}:{_code(one.follow_up)}"


def _benefit(one: Any) -> dict[str, Any]:
    """Return the codes and amounts of an EB; its texts may name the patient and stay out."""
    told = {
        "code": _code(one.code),
        "level": one.coverage_level if one.coverage_level in COVERED else "",
        "types": [code for code in map(_code, one.service_types) if code],
        "period": _code(one.period),
        "amount": _plain(one.amount),
        "percent": _plain(one.percent),
        "quantity_kind": _code(one.quantity_qualifier),
        "quantity": one.quantity if COUNT.fullmatch(one.quantity) else "",
        "authorization": _code(one.authorization),
        "in_network": _code(one.in_network),
    }
    return {name: value for name, value in told.items() if value}


def _code(text: str) -> str:
    return text if CODE.fullmatch(text) else ""


def _plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _may_verify(coverage: PatientInsurance, question: EligibilityInquiry, zone: tzinfo) -> bool:
    """Whether the answer is no word about the past, nor about a coverage that has ended since."""
    asked_on, today = (timezone.localdate(at, timezone=zone) for at in (question.queued_at, timezone.now()))
    return question.service_on >= asked_on and coverage.covers(max(today, coverage.effective_date))


def _verify(asked: Asked) -> None:
    for holds in (True, False):
        keys = [key for key, said in asked.holds.items() if said is holds]
        if keys:
            PatientInsurance._base_manager.filter(pk__in=keys).update(**PatientInsurance.verified(passed=holds))


def _ask_later(questions: Iterable[EligibilityInquiry]) -> set[UUID]:
    """Put these questions in line again, an hour from now or twice as long as the last time; return which."""
    refused = list(questions)
    if not refused:
        return set()
    rows = EligibilityInquiry.objects.filter(
        coverage__in=[one.coverage_id for one in refused],
        status=InquiryStatus.REJECTED,
        created_at__gt=timezone.now() - inquiries.RECENT,
    )
    counted = rows.order_by().values_list("coverage", "service_on").annotate(times=Count("pk"))
    times = {(coverage, day): count for coverage, day, count in counted}
    again = {one.pk: times.get((one.coverage_id, one.service_on), 0) for one in refused}
    again = {key: earlier for key, earlier in again.items() if earlier < TRIES}
    now = timezone.now()
    inquiries.put([
        eligibility.question(
            one.coverage_id, one.partner_id, one.service_on, queued_at=now + FIRST_WAIT * 2 ** max(again[one.pk] - 1, 0)
        )
        for one in refused
        if one.pk in again
    ])  # fmt: skip
    return set(again)
