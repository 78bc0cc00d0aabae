"""Critical results and who was told when; without this nobody could prove that a dangerous value reached a clinician.

Sources: 42 CFR 493.1291(g) (a laboratory alerts at once whoever asked for a test of panic values); Joint Commission
NPSG.02.03.01 (critical results reported in a time the practice sets, and measured) and PC.02.01.03 EP 20 (read-back).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel
from backend.apps.core.roles import Role
from backend.apps.core.transitions import Stateful, Table
from backend.apps.core.work import WorkItem, WorkState, work_indexes

LONGEST_WAIT = 24 * 60  # minutes
MINUTES = [MinValueValidator(1), MaxValueValidator(LONGEST_WAIT)]


class CriticalStatus(models.TextChoices):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Tier(models.IntegerChoices):
    """Whose turn it is to answer."""

    DOCTOR = 0, "the responsible doctor"
    COVERING = 1, "the covering doctor"
    ADMINISTRATORS = 2, "the administrators"


class How(models.TextChoices):
    NONE = "", "not yet"
    ONLINE = "online"
    PHONE = "phone", "by phone"


class Channel(models.TextChoices):
    SMS = "sms", "text message"
    EMAIL = "email", "e-mail"


class Preference(models.TextChoices):
    SMS = "sms", "a text message, e-mail where there is no number"
    EMAIL = "email", "e-mail"
    BOTH = "both", "both"


class CriticalPolicy(ClinicModel):
    """How long the practice waits for an acknowledgement and how it pages; the oldest row counts."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    covering_after_minutes = models.PositiveSmallIntegerField(
        default=15, validators=MINUTES, help_text="From the first page to that of the covering doctor."
    )
    administrators_after_minutes = models.PositiveSmallIntegerField(
        default=15, validators=MINUTES, help_text="From the covering doctor's page to that of the administrators."
    )
    repeat_minutes = models.PositiveSmallIntegerField(
        default=30, validators=MINUTES, help_text="Between the pages of the administrators."
    )
    max_age_hours = models.PositiveSmallIntegerField(
        default=72,
        validators=[MinValueValidator(1)],
        help_text="What was reported earlier than this, as in a load of old results, is listed and pages nobody.",
    )
    channel = models.CharField(max_length=5, choices=Preference, default=Preference.SMS)

    class Meta(ClinicModel.Meta):
        ordering = ["created_at"]
        verbose_name_plural = "critical policies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(covering_after_minutes__range=(1, LONGEST_WAIT))
                & Q(administrators_after_minutes__range=(1, LONGEST_WAIT))
                & Q(repeat_minutes__range=(1, LONGEST_WAIT))
                & Q(max_age_hours__gte=1),
                name="laboratory_criticalpolicy_waits",
            ),
            models.CheckConstraint(
                condition=Q(channel__in=Preference.values), name="laboratory_criticalpolicy_channel_known"
            ),
        ]

    @classmethod
    def current(cls) -> CriticalPolicy:
        """Return the practice's policy, or an unsaved one with the defaults."""
        return cls.objects.order_by("created_at").first() or cls()

    def wait(self, tier: int) -> timedelta:
        """Return how long an answer of `tier` is awaited."""
        waits = (self.covering_after_minutes, self.administrators_after_minutes, self.repeat_minutes)
        return timedelta(minutes=waits[tier])

    def channels(self, *, phone: str, email: str) -> list[str]:
        """Return on which channels somebody with these addresses is paged; none when there is no way."""
        has = {Channel.SMS: bool(phone), Channel.EMAIL: bool(email)}
        wanted = [Channel.EMAIL, Channel.SMS] if self.channel == Preference.EMAIL else [Channel.SMS, Channel.EMAIL]
        ways = [str(way) for way in wanted if has[way]]
        return ways if self.channel == Preference.BOTH else ways[:1]


class CriticalResult(Stateful, ClinicModel):
    """One version of an observation that is critical, until somebody has read it back. `due_at`: the next escalation.

    doctor: who has to act: who ordered it, else the patient's last treating doctor; empty when there is nobody.
    Without `due_at` an open one pages nobody: it was old when it came.
    """

    Status = CriticalStatus

    access: ClassVar[scope.Access] = scope.Access(
        patient="patient_id",
        sees_all=frozenset({Role.LAB_TECH}),
        owners=("doctor__user", "doctor__covering_doctor__user"),
    )
    TRANSITIONS: ClassVar[Table] = {
        Status.OPEN: frozenset({Status.ACKNOWLEDGED, Status.CLOSED}),
        Status.ACKNOWLEDGED: frozenset({Status.CLOSED}),
    }

    result = models.OneToOneField(
        "laboratory.LabResult", editable=False, on_delete=models.PROTECT, related_name="critical_result"
    )
    patient = models.ForeignKey(
        "patients.Patient", editable=False, on_delete=models.PROTECT, related_name="critical_results"
    )
    doctor = models.ForeignKey(
        "doctors.Doctor",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="critical_results",
    )
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN, editable=False)
    tier = models.PositiveSmallIntegerField(choices=Tier, default=Tier.DOCTOR, editable=False)
    rounds = models.PositiveIntegerField(default=0, editable=False)  # of pages that went to anybody
    due_at = models.DateTimeField(null=True, blank=True, editable=False)
    acknowledged_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True, editable=False)
    read_back = models.CharField(max_length=200, blank=True, editable=False)
    how = models.CharField(max_length=6, choices=How, blank=True, default=How.NONE, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    closed_reason = models.CharField(max_length=200, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(status__in=CriticalStatus.values), name="laboratory_critical_status"),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="laboratory_critical_tier"),
            models.CheckConstraint(
                condition=Q(status=CriticalStatus.OPEN) | Q(due_at__isnull=True), name="laboratory_critical_open_is_due"
            ),
            models.CheckConstraint(
                condition=~Q(status=CriticalStatus.ACKNOWLEDGED)
                | (Q(acknowledged_by__isnull=False, acknowledged_at__isnull=False) & ~Q(read_back="") & ~Q(how="")),
                name="laboratory_critical_acknowledged_how",
            ),
            models.CheckConstraint(
                condition=Q(status=CriticalStatus.CLOSED, closed_at__isnull=False) & ~Q(closed_reason="")
                | ~Q(status=CriticalStatus.CLOSED) & Q(closed_at__isnull=True),
                name="laboratory_critical_closed_why",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], name="critical_due", condition=Q(status=CriticalStatus.OPEN)),
            models.Index(fields=["status", "-created_at"], name="critical_status"),
            models.Index(fields=["patient", "-created_at"], name="critical_patient"),
            models.Index(fields=["doctor", "-created_at"], name="critical_doctor"),
            models.Index(fields=["-created_at", "id"], name="critical_newest"),
        ]

    @property
    def test_name(self) -> str:
        """The test as the practice calls it, else as the laboratory does."""
        result = self.result
        return result.lab_test.test_name if result.lab_test else result.code_text_as_sent or result.code_as_sent

    @property
    def cause(self) -> str:
        """What the alert about it is called when nobody answers."""
        return f"critical result unacknowledged:{self.pk}"

    @property
    def unreachable_cause(self) -> str:
        """What the alert about it is called when there is nobody to page."""
        return f"critical result unreachable:{self.pk}"


class StepKind(models.TextChoices):
    NOTED = "noted"
    PAGED = "paged"
    UNREACHABLE = "unreachable", "nobody could be reached"
    ESCALATED = "escalated"
    CALLED = "called"
    ACKNOWLEDGED = "acknowledged"
    CORRECTED = "corrected"
    CLOSED = "closed"


class CriticalStep(UUIDModel):
    """One line of the log of a critical result. A trigger keeps it as it was written.

    by: who did it, empty for a machine. recipient: who was paged. told: whom a caller told. note: what happened,
    without a patient's data; the value that was read back stands in `read_back`.
    """

    Kind = StepKind

    critical_result = models.ForeignKey(CriticalResult, on_delete=models.PROTECT, related_name="steps")
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField(db_default=Now(), editable=False)
    by = models.ForeignKey("users.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    recipient = models.ForeignKey("users.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    told = models.CharField(max_length=120, blank=True)
    read_back = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(kind__in=StepKind.values), name="laboratory_criticalstep_kind_known"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["critical_result", "at"], name="criticalstep_log"),
        ]

    def __str__(self) -> str:
        return f"step {self.pk}"


class PageStatus(models.TextChoices):
    PENDING = "pending"
    SENT = "sent"
    NOT_NEEDED = "not_needed"
    FAILED = "failed"


class PageSubject(models.TextChoices):
    CRITICAL = "critical", "acknowledge a critical result"
    CORRECTED = "corrected", "a critical result was corrected"


class CriticalPage(ClinicModel, WorkItem):
    """One message to one person about one critical result; it says no more than that there is one, and where."""

    Status = PageStatus

    task_name: ClassVar[str] = "critical_results.page"
    max_attempts: ClassVar[int] = 5
    replay_safe: ClassVar[bool] = False
    access: ClassVar[scope.Access] = scope.Access(
        patient="critical_result__patient_id", sees_all=frozenset({Role.LAB_TECH}), owners=("recipient",)
    )

    critical_result = models.ForeignKey(CriticalResult, on_delete=models.PROTECT, related_name="pages")
    recipient = models.ForeignKey("users.User", on_delete=models.PROTECT, related_name="+")
    subject = models.CharField(max_length=9, choices=PageSubject, default=PageSubject.CRITICAL)
    tier = models.PositiveSmallIntegerField(choices=Tier)
    channel = models.CharField(max_length=5, choices=Channel)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING, editable=False)
    external_id = models.CharField(max_length=128, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(status__in=PageStatus.values), name="laboratory_criticalpage_status"),
            models.CheckConstraint(condition=Q(work_state__in=WorkState.values), name="laboratory_criticalpage_work"),
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="laboratory_criticalpage_channel"),
            models.CheckConstraint(condition=Q(subject__in=PageSubject.values), name="laboratory_criticalpage_subject"),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="laboratory_criticalpage_tier"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("criticalpage"),
            models.Index(fields=["critical_result", "-created_at"], name="criticalpage_result"),
            models.Index(fields=["recipient", "-created_at"], name="criticalpage_recipient"),
            models.Index(fields=["work_state", "-created_at"], name="criticalpage_work_state"),
            models.Index(fields=["-created_at", "id"], name="criticalpage_newest"),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        told = {WorkState.FAILED: PageStatus.FAILED, WorkState.WAITING: PageStatus.PENDING}
        return {"status": told[WorkState(state)]} if state in told else {}
