"""Asks payers whether a coverage holds and takes their answers; without it the desk would learn it from a denial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.models.visits import AWAITED
from backend.apps.core import dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import inquiries
from backend.apps.insurance.models import EligibilityInquiry, InboundFile, PartnerPayer, PatientInsurance
from backend.apps.insurance.models.coverage import VERIFIED_FOR
from backend.apps.insurance.models.inquiries import OPEN, InquiryStatus
from backend.apps.users.models import User

VISITS_AHEAD = timedelta(days=3)  # a visit this near is asked about; an answer this fresh will do for it
ASKED_LATELY = timedelta(days=7)  # a coverage that nobody expects is not asked about twice within these
MOST_A_DAY = 2000
FARTHEST = timedelta(days=366)
TRIES, FIRST_WAIT = 5, timedelta(hours=1)  # of a payer that says "later"; the wait doubles
MOST_BENEFITS = 200
CHANGED = "changed"  # in the codes of a question: the coverage is no longer the one that was asked about

LATER = frozenset({"42", "80"})  # AAA03: the payer could not answer now
MEMBER = frozenset(
    {
        "58",
        "60",
        "61",
        "64",
        "65",
        "66",
        "67",
        "68",
        "71",
        "72",
        "73",
        "74",
        "75",
        "76",
        "77",
        "78",
    }
)  # AAA03: the payer does not know this person as we wrote it; fmt: skip

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


class Asked(NamedTuple):
    """What became of one coverage in a list: asked, or why not."""

    id: UUID
    outcome: str
    reason: str = ""


@transaction.atomic
def ask(*, by: User | None, coverage: PatientInsurance, service_on: date | None = None) -> EligibilityInquiry:
    """Ask the payer whether the coverage holds on a day, today when left out; an open question stays the one."""
    today = Clinic.today()
    day = service_on or today
    if not coverage.covers(day):
        raise DomainError("By our own record the coverage does not hold on that day.")
    if not today - FARTHEST <= day <= today + FARTHEST:
        raise DomainError("Payers answer about a day within a year from now.")
    route = inquiries.routes(answers_eligibility=True).filter(provider=coverage.insurance_plan.provider_id).first()
    if route is None:
        raise DomainError("This payer does not answer electronically; ask it by phone and note what it says.")
    inquiries.put([_question(coverage.pk, route.partner_id, day)])
    open_ones = inquiries.open_ones(EligibilityInquiry, coverage=coverage, service_on=day)
    inquiries.hasten(open_ones)
    dispatch.ring(inquiries.BUILD)
    return open_ones.get()  # type: ignore[no-any-return]  # a queryset of either kind of question


def check_eligibility(
    coverage: PatientInsurance, *, by: User | None, service_on: date | None = None
) -> PatientInsurance:
    """Ask the payer whether this coverage holds; the answer verifies it."""
    ask(by=by, coverage=coverage, service_on=service_on)
    return coverage


def ask_each(*, coverages: Iterable[PatientInsurance], by: User | None, service_on: date | None = None) -> list[Asked]:
    """Ask about many; one that cannot be asked about costs only itself."""
    return [_asked(coverage, by, service_on) for coverage in coverages]


def _asked(coverage: PatientInsurance, by: User | None, service_on: date | None) -> Asked:
    try:
        ask(by=by, coverage=coverage, service_on=service_on)
    except DomainError as refusal:
        return Asked(coverage.pk, "refused", str(refusal))
    return Asked(coverage.pk, "asked")


def forget(coverage: PatientInsurance) -> int:
    """Let no answer count that was asked for before the coverage was changed; what is not sent yet asks anew."""
    sent = inquiries.open_ones(EligibilityInquiry, coverage=coverage).exclude(status=InquiryStatus.QUEUED)
    return sent.update(status=InquiryStatus.EXPIRED, codes=[CHANGED], updated_at=Now())


@transaction.atomic
def take(answer: Answer, *, file: InboundFile) -> str:
    """Note what a payer says and verify the coverage by it; return what became of it. Safe to repeat.

    "applied"; "noted", which changes no coverage; "again", to be asked later; "repeated"; "unknown", we did not ask.
    """
    found = [_take_one(pk, coverage, answer, file) for pk, coverage in _meant(answer, file)]
    return next((word for word in (APPLIED, NOTED, AGAIN, REPEATED) if word in found), UNKNOWN)


def _meant(answer: Answer, file: InboundFile) -> list[tuple[UUID, UUID]]:
    """Return the questions an answer is about: by its trace, else all that payer got in the file it names."""
    ours = EligibilityInquiry.objects.filter(partner=file.partner_id).order_by("pk")
    if traces := [trace for trace in answer.traces if trace]:
        return list(ours.filter(trace__in=traces).values_list("pk", "coverage")[:1])
    number = answer.reference[:9]
    if answer.level not in {"source", "receiver"} or not (number.isascii() and number.isdigit()):
        return []
    rows = ours.filter(interchange__partner=file.partner_id, interchange__interchange_number=int(number))
    if answer.payer_id:
        theirs = PartnerPayer.objects.filter(partner=file.partner_id, payer_id=answer.payer_id)
        rows = rows.filter(coverage__insurance_plan__provider__in=theirs.values("provider"))
    return list(rows.filter(status__in=OPEN).values_list("pk", "coverage"))


def _take_one(pk: UUID, coverage_pk: UUID, answer: Answer, file: InboundFile) -> str:
    """Lock the coverage, then its question, as whoever changes a coverage does."""
    coverage = PatientInsurance._base_manager.select_for_update(no_key=True).get(pk=coverage_pk)
    question = EligibilityInquiry._base_manager.select_for_update(no_key=True).get(pk=pk)
    if question.status == InquiryStatus.ANSWERED or (question.status == InquiryStatus.REJECTED and answer.rejects):
        return REPEATED
    holds = _holds(answer, question.service_on)
    counts = CHANGED not in question.codes and _is_newest(question)
    _write_down(question, answer, file)
    if holds is not None and counts and _verify(coverage, question, holds):
        return APPLIED
    if answer.rejects and {one.code for one in answer.rejects} <= LATER and _ask_later(question):
        return AGAIN
    return NOTED


def _holds(answer: Answer, day: date) -> bool | None:
    """Return whether the payer says that the plan holds on that day; None when it does not say."""
    if answer.rejects and answer.active is None:
        return False if MEMBER & {one.code for one in answer.rejects} else None
    if not answer.active:
        return answer.active
    return (answer.plan_begins or day) <= day <= (answer.plan_ends or day)


def _is_newest(question: EligibilityInquiry) -> bool:
    """Whether no later question about this coverage has been answered."""
    answered = EligibilityInquiry.objects.filter(coverage=question.coverage_id, is_active__isnull=False)
    return not answered.filter(queued_at__gt=question.queued_at).exists()


def _write_down(question: EligibilityInquiry, answer: Answer, file: InboundFile) -> None:
    silent = answer.rejects and answer.active is None
    question.status = InquiryStatus.REJECTED if silent else InquiryStatus.ANSWERED
    question.answered_at, question.answer_file = timezone.now(), file
    question.is_active = _holds(answer, question.service_on)
    question.plan_from, question.plan_to = answer.plan_begins, answer.plan_ends
    changed = [CHANGED] if CHANGED in question.codes else []
    question.codes = changed + [f"AAA:{one.level}:{one.code}:{one.follow_up}" for one in answer.rejects]
    question.benefits = [_benefit(one) for one in answer.benefits[:MOST_BENEFITS]]
    question.save(update_fields=[
        "status", "answered_at", "answer_file", "is_active", "plan_from", "plan_to", "codes", "benefits", "updated_at",
    ])  # fmt: skip


def _benefit(one: Any) -> dict[str, Any]:
    """Return the codes and amounts of an EB; its texts may name the patient and stay out."""
    told = {
        "code": one.code,
        "level": one.coverage_level,
        "types": list(one.service_types),
        "period": one.period,
        "amount": _plain(one.amount),
        "percent": _plain(one.percent),
        "quantity_kind": one.quantity_qualifier,
        "quantity": one.quantity,
        "authorization": one.authorization,
        "in_network": one.in_network,
    }
    return {name: value for name, value in told.items() if value}


def _plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _verify(coverage: PatientInsurance, question: EligibilityInquiry, holds: bool) -> bool:
    """Set what the payer says; not by a question about the past, nor on a coverage that has ended since."""
    asked_on = timezone.localdate(question.queued_at, timezone=Clinic.current().zone)
    if question.service_on < asked_on or not coverage.covers(max(Clinic.today(), coverage.effective_date)):
        return False
    coverage.verify(passed=holds)
    return True


def _ask_later(question: EligibilityInquiry) -> bool:
    """Put the same question in line again, an hour from now or twice as long as the last time."""
    earlier = EligibilityInquiry.objects.filter(
        coverage=question.coverage_id,
        service_on=question.service_on,
        status=InquiryStatus.REJECTED,
        created_at__gt=timezone.now() - inquiries.RECENT,
    ).count()
    if earlier >= TRIES:
        return False
    at = timezone.now() + FIRST_WAIT * 2 ** (earlier - 1)
    inquiries.put([_question(question.coverage_id, question.partner_id, question.service_on, queued_at=at)])
    return True


def due() -> int:
    """Ask about those who come in the next days, then about those not asked for a month; return how many questions.

    Safe to run twice: who has been asked about lately is left out.
    """
    today = Clinic.today()
    PatientInsurance.objects.filter(
        verification_status=PatientInsurance.Verification.VERIFIED, last_verified_date__lt=today - VERIFIED_FOR
    ).update(verification_status=PatientInsurance.Verification.EXPIRED, updated_at=Now())
    asked = inquiries.put(_expected(today, MOST_A_DAY))
    return asked + inquiries.put(_stale(today, MOST_A_DAY - asked))


def _expected(today: date, limit: int) -> list[EligibilityInquiry]:
    """Return questions about the day of each near visit, for coverages whose last answer is older than that."""
    visits = Appointment.objects.filter(
        status__in=AWAITED, appointment_datetime__gte=Now(), appointment_datetime__lt=Now() + VISITS_AHEAD
    )
    first = visits.filter(patient=OuterRef("patient")).order_by("appointment_datetime").values("appointment_datetime")
    rows = _to_ask(today, not_verified_since=today - VISITS_AHEAD, not_asked_for=VISITS_AHEAD)
    rows = rows.filter(patient__in=visits.values("patient")).annotate(visit_at=Subquery(first[:1]))
    zone = Clinic.current().zone
    found = rows.order_by("visit_at", "pk").values_list("pk", "way", "visit_at", "termination_date")[:limit]
    days = [(pk, partner, timezone.localdate(at, timezone=zone), last) for pk, partner, at, last in found]
    return [_question(pk, partner, min(day, last or day)) for pk, partner, day, last in days]


def _stale(today: date, limit: int) -> list[EligibilityInquiry]:
    rows = _to_ask(today, not_verified_since=today - VERIFIED_FOR, not_asked_for=ASKED_LATELY)
    found = rows.order_by(F("last_verified_date").asc(nulls_last=True), "pk").values_list("pk", "way")
    return [_question(pk, partner, today) for pk, partner in found[: max(limit, 0)]]


def _to_ask(today: date, *, not_verified_since: date, not_asked_for: timedelta) -> QuerySet[Any]:
    """Return coverages that hold today, with the partner (`way`) who can be asked about them."""
    lately = EligibilityInquiry.objects.filter(coverage=OuterRef("pk"), created_at__gt=Now() - not_asked_for)
    ways = inquiries.routes(answers_eligibility=True).filter(provider=OuterRef("insurance_plan__provider"))
    rows = PatientInsurance.objects.filter(effective_date__lte=today, patient__is_deleted=False)
    rows = rows.filter(Q(termination_date__isnull=True) | Q(termination_date__gte=today))
    rows = rows.filter(Q(last_verified_date__isnull=True) | Q(last_verified_date__lt=not_verified_since))
    rows = rows.filter(~Exists(lately))
    return rows.annotate(way=Subquery(ways.values("partner")[:1])).filter(way__isnull=False)


def expire() -> tuple[int, int]:
    """Give up questions without an answer and ask each once more; return how many of both."""
    gone, again = inquiries.expire(EligibilityInquiry, "coverage_id", "service_on")
    return gone, inquiries.put([_question(one.coverage_id, one.partner_id, one.service_on) for one in again])


def _question(coverage: UUID, partner: UUID, day: date, **more: Any) -> EligibilityInquiry:
    return EligibilityInquiry(
        coverage_id=coverage, partner_id=partner, service_on=day, trace=inquiries.new_trace(), **more
    )
