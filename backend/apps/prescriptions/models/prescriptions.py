"""What was prescribed and how often it may be dispensed; without this two pharmacists could give the last refill."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.sealed import SealedTextField
from backend.apps.core.transitions import Stateful, Table
from backend.apps.core.validators import validate_phone
from backend.apps.patients.models import PHONE
from backend.apps.prescriptions.models.medications import Schedule

MOST_REFILLS, MOST_REFILLS_CONTROLLED = 99, 5
MONTHS, MONTHS_CONTROLLED = 12, 6
LONGEST, LONGEST_CONTROLLED = timedelta(days=366), timedelta(days=184)
REFILLABLE_SCHEDULES = (Schedule.III, Schedule.IV, Schedule.V)


class PrescriptionStatus(models.TextChoices):
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ON_HOLD = "on_hold"


class Route(models.TextChoices):
    ORAL = "oral"
    SUBLINGUAL = "sublingual"
    TOPICAL = "topical"
    TRANSDERMAL = "transdermal"
    INHALED = "inhaled"
    NASAL = "nasal"
    OPHTHALMIC = "ophthalmic"
    OTIC = "otic"
    RECTAL = "rectal"
    VAGINAL = "vaginal"
    INTRAVENOUS = "intravenous"
    INTRAMUSCULAR = "intramuscular"
    SUBCUTANEOUS = "subcutaneous"
    OTHER = "other"


def months_after(day: date, months: int) -> date:
    """Return the same day `months` later, or the last of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def next_prescription_number() -> str:
    """Return the next number, as RX0000001, from the database's own sequence: none is given twice."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('prescriptions_number')")
        return f"RX{cursor.fetchone()[0]:07d}"


class Prescription(Stateful, ClinicModel):
    """One prescription. The first fill uses no refill, each later one does; the last one there is completes it.

    `schedule` is the drug's schedule on the day it was prescribed, so that the database can hold the law's limits.
    Sources: 21 CFR 1306.12(a) (II: no refills), 1306.22(a) (five refills, six months), 1306.05(a) (DEA number).
    """

    Status = PrescriptionStatus

    access: ClassVar[scope.Access] = scope.of_patient("patient", doctor_user="doctor__user")
    TRANSITIONS: ClassVar[Table] = {
        Status.ACTIVE: frozenset({Status.COMPLETED, Status.CANCELLED, Status.EXPIRED, Status.ON_HOLD}),
        Status.ON_HOLD: frozenset({Status.ACTIVE, Status.CANCELLED, Status.EXPIRED}),
    }

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="prescriptions")
    doctor = models.ForeignKey("doctors.Doctor", on_delete=models.PROTECT, related_name="prescriptions")
    medication = models.ForeignKey("prescriptions.Medication", on_delete=models.PROTECT, related_name="prescriptions")
    appointment = models.ForeignKey(
        "appointments.Appointment", null=True, blank=True, on_delete=models.PROTECT, related_name="prescriptions"
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE, editable=False)
    prescription_number = models.CharField(max_length=20, unique=True, editable=False)
    prescribed_date = models.DateField(editable=False)
    dosage = models.CharField(max_length=120)
    dose_quantity = models.DecimalField(
        max_digits=10, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    dose_unit = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="In UCUM, as mg or {tablet}."
    )
    frequency = models.CharField(max_length=120)
    route = models.CharField(max_length=13, choices=Route, default=Route.ORAL)
    duration_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(366)]
    )
    quantity = models.DecimalField(max_digits=9, decimal_places=2, validators=[MinValueValidator(0)])
    refills_allowed = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(MOST_REFILLS)])
    refills_remaining = models.PositiveSmallIntegerField(default=0, editable=False)
    fills = models.PositiveSmallIntegerField(default=0, editable=False)
    instructions = models.TextField(blank=True, max_length=2000)
    indication = models.CharField(max_length=300, blank=True)
    pharmacy_name = models.CharField(max_length=160, blank=True)
    pharmacy_phone = models.CharField(max_length=16, blank=True, validators=[validate_phone])
    schedule = models.CharField(max_length=3, choices=Schedule, blank=True, editable=False)
    dea_number_used = SealedTextField(max_length=9, blank=True, editable=False)
    electronically_sent = models.BooleanField(default=False, editable=False)
    sent_to_pharmacy_at = models.DateTimeField(null=True, blank=True, editable=False)
    expiration_date = models.DateField(blank=True)
    last_filled_date = models.DateField(null=True, blank=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancellation_reason = models.CharField(max_length=300, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-prescribed_date", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(status__in=PrescriptionStatus.values), name="prescriptions_prescription_status_known"
            ),
            models.CheckConstraint(condition=Q(route__in=Route.values), name="prescriptions_prescription_route_known"),
            models.CheckConstraint(
                condition=Q(refills_remaining__gte=0) & Q(refills_remaining__lte=F("refills_allowed")),
                name="prescriptions_prescription_refills_add_up",
            ),
            models.CheckConstraint(
                condition=Q(fills=0, last_filled_date__isnull=True, refills_remaining=F("refills_allowed"))
                | Q(
                    fills__gte=1,
                    last_filled_date__isnull=False,
                    fills=F("refills_allowed") - F("refills_remaining") + 1,
                ),
                name="prescriptions_prescription_fills_add_up",
            ),
            models.CheckConstraint(
                condition=Q(refills_allowed__lte=MOST_REFILLS), name="prescriptions_prescription_refills_most"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0),
                name="prescriptions_prescription_quantity",
                violation_error_message="Prescribe more than nothing.",
            ),
            models.CheckConstraint(
                condition=Q(expiration_date__gt=F("prescribed_date"))
                & Q(expiration_date__lte=F("prescribed_date") + LONGEST),
                name="prescriptions_prescription_expires_in_a_year",
                violation_error_message="A prescription expires after it is written, within a year.",
            ),
            models.CheckConstraint(
                condition=Q(schedule="") | Q(expiration_date__lte=F("prescribed_date") + LONGEST_CONTROLLED),
                name="prescriptions_prescription_controlled_expires",
                violation_error_message="A prescription of a controlled substance expires within six months.",
            ),
            models.CheckConstraint(
                condition=Q(schedule="")
                | Q(schedule=Schedule.II, refills_allowed=0)
                | Q(schedule__in=REFILLABLE_SCHEDULES, refills_allowed__lte=MOST_REFILLS_CONTROLLED),
                name="prescriptions_prescription_schedule_limits",
                violation_error_message="A substance of this schedule may not be prescribed with so many refills.",
            ),
            models.CheckConstraint(
                condition=Q(schedule="") | ~Q(dea_number_used=""),
                name="prescriptions_prescription_dea_when_controlled",
                violation_error_message="A controlled substance needs the doctor's DEA number.",
            ),
            models.CheckConstraint(
                condition=Q(electronically_sent=False) | Q(sent_to_pharmacy_at__isnull=False),
                name="prescriptions_prescription_sent_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status=PrescriptionStatus.CANCELLED, cancelled_at__isnull=False)
                | (~Q(status=PrescriptionStatus.CANCELLED) & Q(cancelled_at__isnull=True, cancellation_reason="")),
                name="prescriptions_prescription_cancelled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(pharmacy_phone__regex=PHONE), name="prescriptions_prescription_phone_e164"
            ),
            models.CheckConstraint(condition=~Q(dosage="") & ~Q(frequency=""), name="prescriptions_prescription_dosed"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["patient", "-prescribed_date"], name="prescription_patient_newest"),
            models.Index(fields=["doctor", "-prescribed_date"], name="prescription_doctor_newest"),
            models.Index(fields=["medication", "-prescribed_date"], name="prescription_medication"),
            models.Index(fields=["status", "-prescribed_date"], name="prescription_status"),
            models.Index(
                fields=["expiration_date"],
                name="prescription_may_expire",
                condition=Q(status__in=["active", "on_hold"]),
            ),
            models.Index(fields=["expiration_date"], name="prescription_expiry"),
            models.Index(fields=["-prescribed_date", "id"], name="prescription_by_date"),
            models.Index(fields=["-created_at", "id"], name="prescription_newest"),
            models.Index(fields=["-updated_at", "id"], name="prescription_changed"),
        ]

    @property
    def admin_label(self) -> str:
        return self.prescription_number

    @property
    def is_expired(self) -> bool:
        return self.is_expired_on(Clinic.today())

    @property
    def is_active(self) -> bool:
        """Whether it may be dispensed today."""
        return self.is_active_on(Clinic.today())

    @property
    def can_refill(self) -> bool:
        return self.can_refill_on(Clinic.today())

    def is_expired_on(self, day: date) -> bool:
        return self.status == PrescriptionStatus.EXPIRED or self.expiration_date < day

    def is_active_on(self, day: date) -> bool:
        return self.status == PrescriptionStatus.ACTIVE and not self.is_expired_on(day)

    def can_refill_on(self, day: date) -> bool:
        return self.refills_remaining > 0 and self.is_active_on(day)

    def fill(self) -> None:
        """Dispense once. The first fill uses no refill, later ones do; with nothing left to give it is completed.

        Raises:
            DomainError: cancelled, on hold, expired, or no refill is left.
            Conflict: someone else has filled or changed it since we read it; of two who take the last refill, one.
        """
        self._refuse_fill()
        remaining = self.refills_remaining - (1 if self.fills else 0)
        changes = {
            "fills": self.fills + 1,
            "refills_remaining": remaining,
            "last_filled_date": Clinic.today(),
            "status": PrescriptionStatus.ACTIVE if remaining else PrescriptionStatus.COMPLETED,
            "updated_at": timezone.now(),
        }
        rows = type(self)._base_manager.filter(
            pk=self.pk,
            status=PrescriptionStatus.ACTIVE,
            fills=self.fills,
            refills_remaining=self.refills_remaining,
            expiration_date=self.expiration_date,
        )
        if not rows.update(**changes):
            raise Conflict("Someone else has just filled or changed this prescription; load it again.")
        self.refresh_from_db(fields=list(changes))

    def _refuse_fill(self) -> None:
        if self.is_expired:
            raise DomainError("This prescription has expired; ask the doctor for a new one.")
        if self.status == PrescriptionStatus.COMPLETED or (self.fills and not self.refills_remaining):
            raise DomainError("No refill is left on this prescription; ask the doctor for a new one.")
        if self.status != PrescriptionStatus.ACTIVE:
            raise DomainError(f"This prescription is {self.status.replace('_', ' ')} and cannot be filled.")

    def cancel(self, reason: str = "") -> None:
        self.move_to(PrescriptionStatus.CANCELLED, cancelled_at=timezone.now(), cancellation_reason=reason.strip())

    def hold(self) -> None:
        self.move_to(PrescriptionStatus.ON_HOLD)

    def resume(self) -> None:
        if self.is_expired:
            raise DomainError("This prescription has expired; ask the doctor for a new one.")
        if self.status != PrescriptionStatus.ON_HOLD:
            raise DomainError("This prescription is not on hold.")
        self.move_to(PrescriptionStatus.ACTIVE)

    def prepare(self) -> None:
        """Fill in what follows from the drug and the doctor, before a new prescription is checked."""
        self.prescribed_date = self.prescribed_date or Clinic.today()
        self.schedule = self.medication.controlled_substance_schedule
        self.dea_number_used = self.doctor.dea_number if self.schedule else ""
        self.refills_remaining = self.refills_allowed
        if self.expiration_date is None:
            months = MONTHS_CONTROLLED if self.schedule else MONTHS
            self.expiration_date = months_after(self.prescribed_date, months)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and not self.fills:
            self.prepare()
        if not self.prescription_number:
            self.prescription_number = next_prescription_number()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        if self._state.adding and self.medication_id and self.doctor_id and self.refills_allowed is not None:
            self.prepare()
        if self.appointment and self.patient_id and self.appointment.patient_id != self.patient_id:
            raise ValidationError({"appointment": "This appointment is another patient's."})
        if self.schedule:
            self._clean_controlled()

    def _clean_controlled(self) -> None:
        if self.schedule == Schedule.I:
            raise ValidationError({"medication": "A substance of schedule I may not be prescribed."})
        if not self.dea_number_used:
            raise ValidationError({"doctor": "A controlled substance needs the doctor's DEA number."})
        if self.schedule == Schedule.II and self.refills_allowed:
            raise ValidationError({"refills_allowed": "A substance of schedule II may not be refilled."})
        if self.refills_allowed > MOST_REFILLS_CONTROLLED:
            raise ValidationError({"refills_allowed": "A controlled substance may be refilled five times at most."})
        if self.expiration_date and self.expiration_date > months_after(self.prescribed_date, MONTHS_CONTROLLED):
            raise ValidationError(
                {"expiration_date": "A prescription of a controlled substance expires within six months."}
            )
