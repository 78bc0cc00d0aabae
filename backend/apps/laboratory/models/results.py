"""What the laboratory found, version by version; without this a correction would wipe out what was acted upon."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.documents import KeptIn, validate_document
from backend.apps.core.exceptions import Conflict, DomainError


class ResultStatus(models.TextChoices):
    PENDING = "pending"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"


class AbnormalFlag(models.TextChoices):
    NORMAL = "normal"
    HIGH = "high"
    LOW = "low"
    CRITICAL_HIGH = "critical_high"
    CRITICAL_LOW = "critical_low"
    ABNORMAL = "abnormal"


SETTLED = (ResultStatus.FINAL, ResultStatus.CORRECTED, ResultStatus.CANCELLED)
RELEASABLE = (ResultStatus.FINAL, ResultStatus.CORRECTED)
CRITICAL = (AbnormalFlag.CRITICAL_HIGH, AbnormalFlag.CRITICAL_LOW)


class LabResult(ClinicModel):
    """One version of one observation. A trigger keeps what was found as it was filed and refuses to delete it.

    `result_key` names the observation, `digest` what this version says about it; the same thing said twice is one
    version. `version`, `supersedes` and `is_current` follow the laboratory's own order of events (see `filing.place`),
    never that of arrival. Patients see the current version once it is released.
    """

    Status = ResultStatus
    Flag = AbnormalFlag

    access: ClassVar[scope.Access] = scope.of_patient(
        "lab_order__patient",
        doctor_user="lab_order__doctor__user",
        patient_filter=Q(is_current=True, released_at__isnull=False),
    )

    lab_order = models.ForeignKey(
        "laboratory.LabOrder", on_delete=models.PROTECT, related_name="results", db_index=False
    )
    panel = models.ForeignKey(
        "laboratory.ReportedPanel",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="results",
        db_index=False,
    )
    lab_test = models.ForeignKey(
        "laboratory.LabTest", null=True, blank=True, on_delete=models.PROTECT, related_name="results", db_index=False
    )
    mapping = models.ForeignKey(
        "laboratory.LabCodeMapping",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="results",
        db_index=False,
        help_text="The version of our own mapping that named the test.",
    )
    status = models.CharField(max_length=11, choices=Status, default=Status.FINAL)
    abnormal_flag = models.CharField(max_length=13, choices=Flag, blank=True)
    flagged_critical = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="The laboratory says so of a value without bounds."
    )
    result_value = models.TextField(blank=True)
    numeric_value = models.DecimalField(max_digits=28, decimal_places=10, null=True, blank=True)
    value_type = models.CharField(max_length=20, blank=True)
    unit = models.TextField(blank=True, help_text="In UCUM where the unit sent is known.")
    unit_as_sent = models.TextField(blank=True, editable=False)
    reference_range = models.TextField(blank=True)
    interpretation = models.TextField(blank=True)
    result_date = models.DateTimeField(null=True, blank=True, help_text="When it was observed, if that is known.")
    reported_at = models.DateTimeField(null=True, blank=True, help_text="When the laboratory says it reported this.")
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)  # the earliest message that said this
    verified_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    verified_at = models.DateTimeField(null=True, blank=True, editable=False)
    released_at = models.DateTimeField(null=True, blank=True, editable=False)
    file_attachment = models.FileField(
        upload_to=KeptIn("lab_results", "file_attachment"), blank=True, max_length=200, validators=[validate_document]
    )
    code_as_sent = models.CharField(max_length=200, blank=True)
    code_text_as_sent = models.TextField(blank=True)
    code_system_as_sent = models.CharField(max_length=200, blank=True)
    other_code_as_sent = models.CharField(max_length=200, blank=True, editable=False)
    other_text_as_sent = models.TextField(blank=True, editable=False)
    other_system_as_sent = models.CharField(max_length=200, blank=True, editable=False)
    flags_as_sent = models.CharField(max_length=60, blank=True, editable=False)
    panel_code = models.CharField(max_length=200, blank=True)
    sub_id = models.CharField(max_length=200, blank=True)
    restates = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="The laboratory called it final without its value; this is the preliminary one.",
    )
    group_key = models.CharField(max_length=64, blank=True, editable=False)  # what a later order calls this finding by
    parent_key = models.CharField(max_length=64, blank=True, editable=False)  # the group_key of what led to this
    source_message = models.ForeignKey(
        "laboratory.InboundMessage",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="results",
    )
    source_segment = models.CharField(max_length=3, blank=True, editable=False)
    observation_index = models.PositiveIntegerField(
        null=True, blank=True, editable=False, help_text="Which segment of that name in the message, from 1."
    )
    entered_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    result_key = models.CharField(max_length=64, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    is_current = models.BooleanField(default=True, editable=False)
    supersedes = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="superseded_by",
        db_index=False,
    )

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(status__in=ResultStatus.values), name="laboratory_labresult_status_known"
            ),
            models.CheckConstraint(
                condition=Q(abnormal_flag__in=["", *AbnormalFlag.values]), name="laboratory_labresult_flag_known"
            ),
            models.CheckConstraint(
                condition=Q(result_key__regex="^[0-9a-f]{64}$") & Q(digest__regex="^[0-9a-f]{64}$"),
                name="laboratory_labresult_keyed",
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="laboratory_labresult_version_counts"),
            models.CheckConstraint(
                condition=Q(verified_by__isnull=True, verified_at__isnull=True)
                | Q(verified_by__isnull=False, verified_at__isnull=False),
                name="laboratory_labresult_verified_by_whom",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | Q(verified_at__isnull=False),
                name="laboratory_labresult_released_verified",
            ),
            models.CheckConstraint(
                condition=Q(verified_at__isnull=True) | Q(status__in=RELEASABLE),
                name="laboratory_labresult_verified_final",
            ),
            models.CheckConstraint(
                condition=Q(supersedes__isnull=True) | ~Q(supersedes=F("id")),
                name="laboratory_labresult_not_after_itself",
            ),
            models.CheckConstraint(
                condition=Q(lab_test__isnull=False) | ~Q(code_as_sent="") | ~Q(code_text_as_sent=""),
                name="laboratory_labresult_names_test",
                violation_error_message="A result names the test it belongs to.",
            ),
            models.UniqueConstraint(
                fields=["result_key"], condition=Q(is_current=True), name="laboratory_labresult_one_current"
            ),
            models.UniqueConstraint(fields=["result_key", "digest"], name="laboratory_labresult_said_once"),
            models.UniqueConstraint(
                fields=["result_key", "version"],
                name="laboratory_labresult_version_once",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["lab_order", "is_current"], name="labresult_order"),
            models.Index(fields=["lab_test", "-result_date"], name="labresult_test"),
            models.Index(fields=["status", "-created_at"], name="labresult_status"),
            models.Index(
                fields=["abnormal_flag", "-created_at"], name="labresult_flag", condition=~Q(abnormal_flag="")
            ),
            models.Index(
                fields=["-created_at", "id"],
                name="labresult_unverified",
                condition=Q(is_current=True, verified_at__isnull=True, status__in=["final", "corrected"]),
            ),
            models.Index(fields=["code_as_sent"], name="labresult_code"),
            models.Index(
                fields=["other_code_as_sent"],
                name="labresult_other_code",
                condition=Q(lab_test__isnull=True) & ~Q(other_code_as_sent=""),
            ),
            models.Index(fields=["parent_key"], name="labresult_parent", condition=~Q(parent_key="")),
            models.Index(fields=["result_date"], name="labresult_date"),
            models.Index(fields=["-created_at", "id"], name="labresult_newest"),
            models.Index(fields=["-updated_at", "id"], name="labresult_changed"),
        ]

    @property
    def is_abnormal(self) -> bool:
        return self.abnormal_flag not in {"", AbnormalFlag.NORMAL}

    @property
    def is_critical(self) -> bool:
        return self.flagged_critical or self.abnormal_flag in CRITICAL

    @property
    def parent(self) -> LabResult | None:
        """The finding that led to this one, as the organism to a susceptibility; its current version, if it is known.

        By the laboratory's own names for both, so it makes no difference which of them came first.
        """
        if not self.parent_key:
            return None
        same = LabResult.objects.filter(lab_order__patient=self.lab_order.patient_id, is_current=True)
        return same.filter(group_key=self.parent_key).order_by("result_key").first()

    @property
    def children(self) -> models.QuerySet[LabResult]:
        """The current findings this one led to."""
        same = LabResult.objects.filter(lab_order__patient=self.lab_order.patient_id, is_current=True)
        found = same.filter(parent_key=self.group_key).order_by("created_at", "id")
        return found if self.group_key else found.none()

    def verify(self, user: Any) -> None:
        """Note that `user` stands by this version, and release it to the patient; the first verification stands."""
        if self.status not in RELEASABLE:
            raise DomainError(f"This result is {self.status}; only a final or corrected one can be verified.")
        now = timezone.now()
        rows = type(self)._base_manager.filter(pk=self.pk, is_current=True, verified_at__isnull=True)
        if not rows.update(verified_by=user, verified_at=now, released_at=now, updated_at=now):
            self.refresh_from_db(fields=["is_current", "verified_at"])
            raise Conflict(
                "This result has been verified already."
                if self.is_current
                else "A newer version of this result has arrived; verify that one."
            )
        self.refresh_from_db(fields=["verified_by", "verified_at", "released_at", "updated_at"])
