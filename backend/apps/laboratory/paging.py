"""Decides who is paged about a critical result and writes the pages; without it nobody would know whose turn it is."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentStatus
from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.core.roles import Role
from backend.apps.core.work import WorkState
from backend.apps.doctors.models import Doctor
from backend.apps.laboratory.models import CriticalPage, CriticalPolicy, CriticalResult, CriticalStep, LabOrder
from backend.apps.laboratory.models.critical import Channel, CriticalStatus, PageStatus, PageSubject, StepKind, Tier
from backend.apps.users.models import User

TREATED = (AppointmentStatus.CHECKED_IN, AppointmentStatus.IN_PROGRESS, AppointmentStatus.COMPLETED)
MAY_ARRIVE = Q(status=PageStatus.SENT) | Q(work_state__in=(WorkState.RUNNING, WorkState.HELD))


def responsible(order: LabOrder) -> Doctor | None:
    """Return who has to act: who ordered it, else the doctor who treated the patient last."""
    if order.doctor_id:
        return order.doctor
    visits = Appointment.objects.filter(
        patient_id=order.patient_id, status__in=TREATED, appointment_datetime__lte=timezone.now()
    )
    last = visits.select_related("doctor__user").order_by("-appointment_datetime").first()
    return last.doctor if last else None


def take_turn(critical: CriticalResult, tier: int, policy: CriticalPolicy) -> None:
    """Page everybody of `tier`, or of the next tier that has anybody, and set when the one after that is due."""
    tier, people = next(
        ((each, found) for each in Tier if each >= tier and (found := _people(critical, each))),
        (Tier.ADMINISTRATORS, []),
    )
    critical.tier, critical.rounds = tier, critical.rounds + 1
    critical.due_at = timezone.now() + policy.wait(tier)
    CriticalResult.objects.filter(pk=critical.pk).update(
        tier=tier, rounds=critical.rounds, due_at=Now() + policy.wait(tier), updated_at=timezone.now()
    )
    for person in people:
        write(critical, person, policy, f"{tier}:{critical.rounds}")
    if not people:
        _nobody(critical)
    elif critical.rounds > 1:
        alerts.clear(critical.unreachable_cause)
    if tier == Tier.ADMINISTRATORS:
        _alarm(critical)


def write(critical: CriticalResult, person: User, policy: CriticalPolicy, turn: str, **more: Any) -> None:
    """Write one page for each channel this person is to be reached on; the same turn twice is the same page."""
    for channel in policy.channels(phone=person.phone, email=person.email):
        CriticalPage.work.enqueue(
            dedupe_key=f"critical:{critical.pk}:{turn}:{person.pk}:{channel}",
            critical_result=critical,
            recipient=person,
            tier=critical.tier,
            channel=channel,
            **more,
        )


def tell_corrected(critical: CriticalResult, policy: CriticalPolicy) -> None:
    """Tell everybody who acted on it or may hear of it that it is not critical any more; what has not left stays here.

    What waits is taken back first: so no worker begins to send a page between this look and the end of the transaction.
    """
    waiting = critical.pages.filter(work_state=WorkState.WAITING)
    waiting.update(status=PageStatus.NOT_NEEDED, work_state=WorkState.DONE, updated_at=timezone.now())
    paged = critical.pages.filter(MAY_ARRIVE).values("recipient_id")
    for person in User.objects.filter(Q(pk__in=paged) | Q(pk=critical.acknowledged_by_id), is_active=True):
        write(critical, person, policy, "corrected", subject=PageSubject.CORRECTED)


def why_not(page: CriticalPage) -> str | None:
    """Return why this page must not go out now, as a sentence; None when it must."""
    if page.subject == PageSubject.CRITICAL and page.critical_result.status != CriticalStatus.OPEN:
        return f"The critical result is {page.critical_result.status}."
    person = page.recipient
    return None if person.is_active and not person.is_deleted else "The login of the recipient is closed."


def instead(page: CriticalPage) -> None:
    """Write an e-mail in place of a text message that no provider would take."""
    if page.channel == Channel.SMS and page.recipient.email:
        CriticalPage.work.enqueue(
            dedupe_key=f"{page.dedupe_key}:instead",
            critical_result=page.critical_result,
            recipient=page.recipient,
            tier=page.tier,
            subject=page.subject,
            channel=Channel.EMAIL,
        )


def log(critical: CriticalResult, kind: str, **fields: Any) -> None:
    """Add one line to the log of a critical result."""
    CriticalStep.objects.create(critical_result=critical, kind=kind, **fields)


def log_page(page: CriticalPage, outcome: str) -> None:
    """Log what became of a page."""
    note = f"{page.get_channel_display()} to {Tier(page.tier).label}: {outcome}."
    log(page.critical_result, StepKind.PAGED, recipient=page.recipient, note=note)


def _people(critical: CriticalResult, tier: int) -> list[User]:
    """Return the logins whose turn it is; only open ones."""
    doctor = critical.doctor
    if tier == Tier.ADMINISTRATORS:
        return list(User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk"))
    turn = doctor if tier == Tier.DOCTOR else doctor and doctor.covering_doctor
    if turn is None or turn.is_deleted:
        return []
    return [turn.user] if turn.user.is_active and not turn.user.is_deleted else []


def _nobody(critical: CriticalResult) -> None:
    log(critical, StepKind.UNREACHABLE, note="There is nobody to page: no doctor and no administrator can be reached.")
    alerts.open_once(
        critical.unreachable_cause,
        kind="lab_critical_unreachable",
        severity=Alert.Severity.CRITICAL,
        subject=critical,
        sentence="A critical result waits and there is nobody who could be paged.",
    )


def _alarm(critical: CriticalResult) -> None:
    alerts.open_once(
        critical.cause,
        kind="lab_critical_unacknowledged",
        severity=Alert.Severity.CRITICAL,
        subject=critical,
        sentence="A critical result has not been acknowledged by a doctor; the administrators are paged.",
    )
