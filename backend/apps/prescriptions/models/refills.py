"""Requests to dispense a prescription again; without this a refill would be a phone call nobody wrote down."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import DomainError
from backend.apps.core.roles import Role
from backend.apps.core.transitions import Stateful, Table
from backend.apps.prescriptions.models.prescriptions import Prescription


class RefillStatus(models.TextChoices):
    REQUESTED = "requested"
    APPROVED = "approved"
    DENIED = "denied"
    FILLED = "filled"
    CANCELLED = "cancelled"


class PrescriptionRefill(Stateful, ClinicModel):
    Status = RefillStatus

    access: ClassVar[scope.Access] = scope.of_patient("prescription__patient", doctor_user="prescription__doctor__user")
    TRANSITIONS: ClassVar[Table] = {
        Status.REQUESTED: frozenset({Status.APPROVED, Status.DENIED, Status.CANCELLED}),
        Status.APPROVED: frozenset({Status.FILLED, Status.CANCELLED}),
    }

    prescription = models.ForeignKey("prescriptions.Prescription", on_delete=models.PROTECT, related_name="refills")
    status = models.CharField(max_length=9, choices=Status, default=Status.REQUESTED, editable=False)
    requested_date = models.DateTimeField(default=timezone.now, editable=False)
    requested_by_patient = models.BooleanField(default=False, editable=False)
    approved_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True, editable=False)
    denial_reason = models.CharField(max_length=300, blank=True, editable=False)
    filled_date = models.DateTimeField(null=True, blank=True, editable=False)
    pharmacy_name = models.CharField(max_length=160, blank=True)
    quantity_filled = models.DecimalField(
        max_digits=9, decimal_places=2, null=True, blank=True, editable=False, validators=[MinValueValidator(0)]
    )
    notes = models.CharField(max_length=500, blank=True)

    class Meta(ClinicModel.Meta):
        ordering = ["-requested_date", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(status__in=RefillStatus.values), name="prescriptions_prescriptionrefill_status_known"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "filled"])
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="prescriptions_prescriptionrefill_approved_by_whom",
            ),
            models.CheckConstraint(
                condition=Q(status=RefillStatus.FILLED, filled_date__isnull=False, quantity_filled__gt=0)
                | (~Q(status=RefillStatus.FILLED) & Q(filled_date__isnull=True, quantity_filled__isnull=True)),
                name="prescriptions_prescriptionrefill_filled_how_much",
            ),
            models.UniqueConstraint(
                fields=["prescription"],
                condition=Q(status__in=["requested", "approved"], is_deleted=False),
                name="prescriptions_prescriptionrefill_one_open",
                violation_error_message="A refill of this prescription has been asked for already.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["prescription", "-requested_date"], name="refill_prescription"),
            models.Index(fields=["status", "-requested_date"], name="refill_status"),
            models.Index(fields=["-requested_date", "id"], name="refill_by_date"),
            models.Index(fields=["-created_at", "id"], name="refill_newest"),
            models.Index(fields=["-updated_at", "id"], name="refill_changed"),
        ]

    def approve(self, user: Any) -> None:
        if getattr(user, "role", None) != Role.DOCTOR:
            raise DomainError("Only a doctor approves a refill.")
        if not self.prescription.can_refill:
            raise DomainError("No refill is left on this prescription, or it is no longer active.")
        self.move_to(RefillStatus.APPROVED, approved_by=user, approved_at=timezone.now())

    def deny(self, reason: str = "") -> None:
        self.move_to(RefillStatus.DENIED, denial_reason=reason.strip())

    def withdraw(self) -> None:
        self.move_to(RefillStatus.CANCELLED)

    @transaction.atomic
    def mark_as_filled(self, quantity: Decimal | None = None) -> None:
        """Note that the refill was dispensed, and take it off the prescription; both happen or neither.

        quantity: in the prescription's own units; the prescribed quantity when left out, never more.
        """
        prescription = Prescription.objects.select_for_update().get(pk=self.prescription_id)
        quantity = prescription.quantity if quantity is None else quantity
        if not 0 < quantity <= prescription.quantity:
            raise DomainError("Dispense more than nothing and no more than was prescribed.")
        self.move_to(RefillStatus.FILLED, filled_date=timezone.now(), quantity_filled=quantity)
        prescription.fill()
        self.prescription = prescription
