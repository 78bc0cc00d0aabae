"""Asks payers whether a coverage holds; without it the desk would learn from a denial that it did not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.models.visits import AWAITED
from backend.apps.core import dispatch
from backend.apps.core.bulk import update_each
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import inquiries
from backend.apps.insurance.models import EligibilityInquiry, PatientInsurance
from backend.apps.insurance.models.coverage import VERIFIED_FOR
from backend.apps.insurance.models.inquiries import OPEN, InquiryStatus
from backend.apps.users.models import User

VISITS_AHEAD = timedelta(days=3)  # a visit this near is asked about; an answer this fresh will do for it
ASKED_LATELY = timedelta(days=7)  # a coverage that nobody expects is not asked about twice within these
MOST_A_DAY = 2000
FARTHEST = timedelta(days=366)
UNVERIFIED = PatientInsurance.Verification.UNVERIFIED
CHANGED = "changed"  # in the codes of a question: the coverage is no longer the one that was asked about


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
    inquiries.put([question(coverage.pk, route.partner_id, day)])
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


def forget(coverage: PatientInsurance) -> None:
    """Let no answer count that was asked for before the coverage was changed, so that it is asked about at once.

    What is not sent yet asks about it as it is now.
    """
    since = timezone.now() - ASKED_LATELY
    asked = EligibilityInquiry.objects.filter(coverage=coverage).exclude(status=InquiryStatus.QUEUED)
    rows = asked.filter(Q(status__in=OPEN) | Q(created_at__gt=since)).exclude(codes__contains=[CHANGED])
    found = list(rows.select_for_update(no_key=True).order_by("pk"))
    for row in found:
        row.codes = [CHANGED, *row.codes]
        if row.status in OPEN:
            row.status = InquiryStatus.EXPIRED
    update_each(found, {"codes", "status"})


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
    return [question(pk, partner, min(day, last or day)) for pk, partner, day, last in days]


def _stale(today: date, limit: int) -> list[EligibilityInquiry]:
    rows = _to_ask(today, not_verified_since=today - VERIFIED_FOR, not_asked_for=ASKED_LATELY)
    changed = Q(verification_status=UNVERIFIED, last_verified_date__isnull=False)
    rows = rows.annotate(changed=ExpressionWrapper(changed, output_field=BooleanField()))
    found = rows.order_by("-changed", F("last_verified_date").asc(nulls_last=True), "pk").values_list("pk", "way")
    return [question(pk, partner, today) for pk, partner in found[: max(limit, 0)]]


def _to_ask(today: date, *, not_verified_since: date, not_asked_for: timedelta) -> QuerySet[Any]:
    """Return coverages that hold today, with the partner (`way`) who can be asked about them.

    What was verified before the coverage was changed does not count, nor what was asked before that.
    """
    asked = EligibilityInquiry.objects.filter(coverage=OuterRef("pk")).exclude(codes__contains=[CHANGED])
    lately = asked.filter(Q(created_at__gt=Now() - not_asked_for) | Q(status__in=OPEN))
    ways = inquiries.routes(answers_eligibility=True).filter(provider=OuterRef("insurance_plan__provider"))
    rows = PatientInsurance.objects.filter(effective_date__lte=today, patient__is_deleted=False)
    rows = rows.filter(Q(termination_date__isnull=True) | Q(termination_date__gte=today))
    long_ago = Q(last_verified_date__isnull=True) | Q(last_verified_date__lt=not_verified_since)
    rows = rows.filter(long_ago | Q(verification_status=UNVERIFIED)).filter(~Exists(lately))
    return rows.annotate(way=Subquery(ways.values("partner")[:1])).filter(way__isnull=False)


def expire() -> tuple[int, int]:
    """Give up questions without an answer and ask each once more; return how many of both."""
    gone, again = inquiries.expire(EligibilityInquiry, "coverage_id", "service_on")
    return gone, inquiries.put([question(one.coverage_id, one.partner_id, one.service_on) for one in again])


def question(coverage: UUID, partner: UUID, day: date, **more: Any) -> EligibilityInquiry:
    """Return a question that is not saved yet."""
    return EligibilityInquiry(
        coverage_id=coverage, partner_id=partner, service_on=day, trace=inquiries.new_trace(), **more
    )
