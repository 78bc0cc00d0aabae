"""One row for each step of a credential's ladder and one for each e-mail about it; else two sweeps would tell twice."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.scope import Access
from backend.apps.core.work import WorkItem, WorkState, work_indexes
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees.models import CredentialType, EmployeeCredential

NOBODY: frozenset[str] = frozenset()
ONE_CREDENTIAL = Q(doctor_credential__isnull=False, employee_credential__isnull=True) | Q(
    doctor_credential__isnull=True, employee_credential__isnull=False
)
OWNERS = (
    *(f"doctor_credential__{path}" for path in DoctorCredential.access.owners),
    *(f"employee_credential__{path}" for path in EmployeeCredential.access.owners),
)


class ClosedBecause(models.TextChoices):
    RENEWED = "renewed", "a renewed one is on file"
    FOLLOWED = "followed", "a later tier was reached"
    WITHDRAWN = "withdrawn", "the credential or its holder is gone, or it was rejected or corrected"


class CredentialAlert(ClinicModel):
    """That a credential reached a tier: `tier` days before `expiry_date`, below 0 after it. Once, whoever looks.

    The alerts of one credential are found by the constraints, which begin with it.
    """

    access: ClassVar[Access] = Access(sees_all=NOBODY, owners=OWNERS)

    doctor_credential = models.ForeignKey(
        "doctors.DoctorCredential", null=True, blank=True, editable=False, on_delete=models.PROTECT,
        related_name="alerts", db_index=False,
    )  # fmt: skip
    employee_credential = models.ForeignKey(
        "employees.EmployeeCredential", null=True, blank=True, editable=False, on_delete=models.PROTECT,
        related_name="alerts", db_index=False,
    )  # fmt: skip
    credential_type = models.CharField(max_length=20, choices=CredentialType, editable=False)
    tier = models.SmallIntegerField(editable=False)
    expiry_date = models.DateField(editable=False)
    opened_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    closed_because = models.CharField(max_length=9, choices=ClosedBecause, blank=True, default="", editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-opened_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=ONE_CREDENTIAL, name="credentials_alert_of_one_credential"),
            models.UniqueConstraint(
                fields=["doctor_credential", "tier", "expiry_date"],
                name="credentials_alert_doctor_once",
                condition=Q(doctor_credential__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["employee_credential", "tier", "expiry_date"],
                name="credentials_alert_employee_once",
                condition=Q(employee_credential__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, closed_because="")
                | (Q(closed_at__isnull=False) & ~Q(closed_because="")),
                name="credentials_alert_closed_why",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["expiry_date", "id"], name="credential_alert_open", condition=Q(closed_at=None)),
            models.Index(fields=["-opened_at", "id"], name="credential_alert_newest"),
            models.Index(fields=["credential_type", "-opened_at"], name="credential_alert_type"),
            models.Index(fields=["closed_at", "-opened_at"], name="credential_alert_closed"),
        ]

    @property
    def credential(self) -> Any:
        return self.doctor_credential or self.employee_credential


class Audience(models.TextChoices):
    HOLDER = "holder"
    MANAGER = "manager"
    COMPLIANCE = "compliance"
    ADMINISTRATOR = "administrator", "administrator, once a day"


class NoticeStatus(models.TextChoices):
    PENDING = "pending"
    SENT = "sent"
    NOT_NEEDED = "not_needed", "not needed any more when it was due"
    FAILED = "failed"


class CredentialNotice(ClinicModel, WorkItem):
    """One e-mail to one person: about an alert, or, to an administrator, about all of a day (then `alert` is None).

    What it says is decided when it is sent: a credential that was renewed meanwhile is not told of.
    """

    Status = NoticeStatus

    task_name: ClassVar[str] = "credentials.notify"
    replay_safe: ClassVar[bool] = False
    access: ClassVar[Access] = Access(sees_all=NOBODY, owners=("recipient",))

    alert = models.ForeignKey(
        CredentialAlert, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="notices"
    )
    audience = models.CharField(max_length=13, choices=Audience, editable=False)
    recipient = models.ForeignKey(
        "users.User", editable=False, on_delete=models.PROTECT, related_name="credential_notices"
    )
    day = models.DateField(editable=False)
    status = models.CharField(max_length=10, choices=NoticeStatus, default=NoticeStatus.PENDING, editable=False)
    recipient_email = models.EmailField(blank=True, default="", db_default="", editable=False)
    external_id = models.CharField(max_length=128, blank=True, default="", db_default="", editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(audience__in=Audience.values), name="credentials_notice_audience_known"),
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="credentials_notice_work_state_known"
            ),
            models.CheckConstraint(
                condition=Q(alert__isnull=True, audience="administrator")
                | (Q(alert__isnull=False) & ~Q(audience="administrator")),
                name="credentials_notice_about_one_thing",
            ),
            models.CheckConstraint(
                condition=~Q(status="sent") | Q(sent_at__isnull=False), name="credentials_notice_sent_has_time"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("credential_notice"),
            models.Index(fields=["-created_at", "id"], name="credential_notice_newest"),
            models.Index(fields=["status", "-created_at"], name="credential_notice_status"),
        ]

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        told: dict[str, dict[str, Any]] = {
            WorkState.FAILED: {"status": NoticeStatus.FAILED},
            WorkState.WAITING: {"status": NoticeStatus.PENDING},
        }
        return told.get(state, {})
