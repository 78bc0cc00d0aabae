"""Claims: what the practice asks a payer for, and how far the answer has come."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import DecimalField, F, Func, IntegerField, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact, LessThanOrEqual

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.documents import KeptIn, validate_document
from backend.apps.core.exceptions import DomainError, IllegalTransition
from backend.apps.core.models import Clinic
from backend.apps.core.transitions import Stateful, Table
from backend.apps.core.validators import validate_not_future
from backend.apps.doctors.models import Doctor
from backend.apps.insurance import codes
from backend.apps.insurance.models.coverage import PatientInsurance
from backend.apps.insurance.models.payers import money

MONEY = DecimalField(max_digits=12, decimal_places=2)
NOTHING = Value(Decimal(0), output_field=MONEY)


def amount(name: str) -> Cast:
    """Return a column of money; cast, because `full_clean` asks the database about bare NULLs too."""
    return Cast(F(name), MONEY)


SETTLED = Coalesce(amount("paid_amount"), NOTHING) + Coalesce(amount("patient_responsibility"), NOTHING)
MOST_SETTLED = Coalesce(amount("allowed_amount"), amount("billed_amount"))
LINES_TOTAL = Func(F("procedure_codes"), function="insurance_lines_total", output_field=MONEY)
CONTENT = ("patient_insurance", "service_date", "diagnosis_codes", "procedure_codes", "billed_amount")


def related(model: str, **more: Any) -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(model, null=True, blank=True, on_delete=models.PROTECT, related_name="+", **more)


def day() -> models.DateField:
    return models.DateField(null=True, blank=True)


two_digits = RegexValidator(r"^[0-9]{2}$", "Two digits, as 11.")


class Frequency(models.TextChoices):
    """CLM05-3: what the file asks the payer to do."""

    ORIGINAL = "1"
    REPLACEMENT = "7"
    VOID = "8"


class Accident(models.TextChoices):
    AUTO = "AA", "car"
    EMPLOYMENT = "EM", "work"
    OTHER = "OA", "other"


def is_list(field: str) -> Exact:
    return Exact(Func(F(field), function="jsonb_typeof", output_field=TextField()), Value("array"))


def at_most(field: str, most: int) -> LessThanOrEqual:
    return LessThanOrEqual(Func(F(field), function="jsonb_array_length", output_field=IntegerField()), most)


class InsuranceClaim(ClinicModel, Stateful):
    """One claim to one plan. Content changes while it is a draft only; money is decided by the payer's answer."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        SUBMITTED = "submitted"
        PENDING = "pending"
        ACCEPTED = "accepted"
        REJECTED = "rejected"
        PAID = "paid"
        APPEALED = "appealed"
        DENIED = "denied"

    # A payer's answers may skip steps or come late; a rejected claim was never judged and starts again as a draft, as
    # does one whose file was turned back, unless the payer takes in what its clearinghouse had refused. What the
    # clearinghouse accepted is pending again where the payer says that it only has it. A reversal takes a judgement
    # back until the next one comes.
    TRANSITIONS: ClassVar[Table] = {
        Status.DRAFT: frozenset({Status.SUBMITTED}),
        Status.SUBMITTED: frozenset(
            {Status.DRAFT, Status.PENDING, Status.ACCEPTED, Status.REJECTED, Status.PAID, Status.DENIED}
        ),
        Status.PENDING: frozenset({Status.DRAFT, Status.ACCEPTED, Status.REJECTED, Status.PAID, Status.DENIED}),
        Status.ACCEPTED: frozenset({Status.PENDING, Status.REJECTED, Status.PAID, Status.DENIED}),
        Status.REJECTED: frozenset({Status.DRAFT, Status.PENDING, Status.ACCEPTED, Status.PAID, Status.DENIED}),
        Status.PAID: frozenset({Status.APPEALED, Status.ACCEPTED, Status.DENIED}),
        Status.DENIED: frozenset({Status.APPEALED, Status.ACCEPTED, Status.PAID}),
        Status.APPEALED: frozenset({Status.PAID, Status.DENIED}),
    }
    # What a person may note, one step at a time: nothing takes a claim out of a payer's hands, or a judgement back.
    BY_HAND: ClassVar[Table] = {
        Status.DRAFT: frozenset({Status.SUBMITTED}),
        Status.SUBMITTED: frozenset({Status.PENDING, Status.ACCEPTED, Status.REJECTED, Status.PAID, Status.DENIED}),
        Status.PENDING: frozenset({Status.ACCEPTED, Status.REJECTED, Status.PAID, Status.DENIED}),
        Status.ACCEPTED: frozenset({Status.REJECTED, Status.PAID, Status.DENIED}),
        Status.REJECTED: frozenset({Status.DRAFT}),
        Status.PAID: frozenset({Status.APPEALED}),
        Status.DENIED: frozenset({Status.APPEALED}),
        Status.APPEALED: frozenset({Status.PAID, Status.DENIED}),
    }
    access: ClassVar[scope.Access] = scope.of_patient("patient_insurance__patient")

    patient_insurance = models.ForeignKey(PatientInsurance, on_delete=models.PROTECT, related_name="claims")
    appointment = models.ForeignKey(
        "appointments.Appointment", null=True, blank=True, on_delete=models.PROTECT, related_name="claims"
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.DRAFT, editable=False)
    claim_number = models.CharField(
        max_length=20,
        unique=True,
        editable=False,
        db_default=Func(
            template="'C' || nextval('insurance_claim_number')::text", output_field=models.CharField(max_length=20)
        ),
    )
    control_number = models.CharField(max_length=20, blank=True, default="", editable=False)  # CLM01, once it is queued
    billing_entity = related("insurance.BillingEntity")
    rendering_doctor = related("doctors.Doctor")
    referring_provider = related("insurance.ReferringProvider")
    service_facility = related("insurance.ServiceFacility")
    place_of_service = models.CharField(max_length=2, default="11", validators=[two_digits])
    frequency = models.CharField(max_length=1, choices=Frequency, default=Frequency.ORIGINAL, editable=False)
    original = related("self", editable=False, help_text="The claim that this one replaces or takes back.")
    secondary_to = related("self", editable=False, help_text="The same services, billed to the payer before.")
    prior_authorization = models.CharField(max_length=50, blank=True, default="")
    referral_number = models.CharField(max_length=50, blank=True, default="")
    patient_paid = money()
    accident = models.CharField(max_length=2, choices=Accident, blank=True, default="")
    accident_state = models.CharField(max_length=2, blank=True, default="")
    accident_on = day()
    onset_on = day()
    initial_treatment_on = day()
    last_menstrual_on = day()
    admission_on = day()
    discharge_on = day()
    delay_reason = models.CharField(max_length=2, blank=True, default="", help_text="CLM20, 1 to 15.")
    signature_on_file = models.BooleanField(default=True)
    accepts_assignment = models.BooleanField(default=True)
    assigns_benefits = models.BooleanField(default=True)
    releases_information = models.BooleanField(default=True)
    note = models.CharField(max_length=80, blank=True, default="")
    denial_closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    denial_closed_as = models.CharField(max_length=200, blank=True, default="", editable=False)
    service_date = models.DateField(validators=[validate_not_future])
    submission_date = models.DateField(null=True, blank=True, editable=False)
    diagnosis_codes = models.JSONField(default=list, blank=True, validators=[codes.validate_diagnosis_codes])
    procedure_codes = models.JSONField(default=list, blank=True, validators=[codes.validate_procedure_codes])
    billed_amount = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="The sum of the lines' charges; computed when left out.",
    )
    allowed_amount = money(editable=False)
    paid_amount = money(editable=False)
    patient_responsibility = money(editable=False)
    insurance_reference_number = models.CharField(max_length=50, blank=True, editable=False)
    response_date = models.DateField(null=True, blank=True, editable=False)
    denial_reason = models.CharField(max_length=1000, blank=True, editable=False)
    payment_date = models.DateField(null=True, blank=True, editable=False)
    payment_reference = models.CharField(max_length=80, blank=True, editable=False)
    claim_form = models.FileField(
        upload_to=KeptIn("insurance/claims", "claim_form"), blank=True, max_length=200, validators=[validate_document]
    )
    eob_document = models.FileField(
        upload_to=KeptIn("insurance/eobs", "eob_document"), blank=True, max_length=200, validators=[validate_document]
    )

    class Meta(ClinicModel.Meta):
        verbose_name = "claim"
        ordering = ["-created_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "draft", "submitted", "pending", "accepted", "rejected", "paid", "appealed", "denied",
                    ]
                ),
                name="insurance_claim_status_known",
            ),
            models.UniqueConstraint(
                fields=["control_number"], condition=~Q(control_number=""), name="insurance_claim_control_number_once"
            ),
            models.CheckConstraint(
                condition=Q(frequency="1", original__isnull=True)
                | Q(frequency__in=["7", "8"], original__isnull=False),
                name="insurance_claim_frequency_has_original",
            ),
            models.CheckConstraint(condition=Q(billed_amount__gte=0), name="insurance_claim_billed_not_negative"),
            models.CheckConstraint(
                condition=Q(allowed_amount__gte=0, allowed_amount__lte=F("billed_amount")),
                name="insurance_claim_allowed_within_billed",
            ),
            models.CheckConstraint(condition=Q(paid_amount__gte=0), name="insurance_claim_paid_not_negative"),
            models.CheckConstraint(
                condition=Q(patient_responsibility__gte=0), name="insurance_claim_responsibility_not_neg"
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(SETTLED, MOST_SETTLED),
                name="insurance_claim_settled_within_allowed",
            ),
            models.CheckConstraint(
                condition=Exact(F("billed_amount"), LINES_TOTAL),
                name="insurance_claim_billed_is_sum",
                violation_error_message="The billed amount is not the sum of the lines' charges.",
            ),
            models.CheckConstraint(
                condition=is_list("diagnosis_codes") & at_most("diagnosis_codes", codes.MOST_DIAGNOSES),
                name="insurance_claim_diagnoses_list",
            ),
            models.CheckConstraint(
                condition=is_list("procedure_codes") & at_most("procedure_codes", codes.MOST_LINES),
                name="insurance_claim_procedures_list",
            ),
            models.CheckConstraint(
                condition=Q(status="draft") | Q(submission_date__isnull=False),
                name="insurance_claim_submitted_has_date",
            ),
            models.CheckConstraint(
                condition=~Q(status="paid") | Q(paid_amount__isnull=False, payment_date__isnull=False),
                name="insurance_claim_paid_has_payment",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["denied", "rejected"]) | ~Q(denial_reason=""),
                name="insurance_claim_refused_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(submission_date__isnull=True) | Q(submission_date__gte=F("service_date")),
                name="insurance_claim_submitted_after_service",
            ),
        ]  # fmt: skip
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["status", "submission_date"], name="claim_status_submitted"),
            models.Index(fields=["status", "-created_at"], name="claim_status_created"),
            models.Index(fields=["-created_at", "id"], name="claim_created"),
            models.Index(fields=["service_date"], name="claim_service_date"),
            models.Index(fields=["submission_date"], name="claim_submission_date"),
            models.Index(
                fields=["insurance_reference_number"],
                name="claim_reference",
                condition=~Q(insurance_reference_number=""),
            ),
        ]

    def __str__(self) -> str:
        return f"claim {self.claim_number}"

    def clean(self) -> None:
        super().clean()
        if self.service_date and self.service_date > Clinic.today():
            raise ValidationError({"service_date": "This day is in the future."})
        if self.patient_insurance_id and not self._is_of_one_patient():
            raise ValidationError({"appointment": "This appointment and this coverage are not of the same patient."})
        if self.accident and not self.accident_on:
            raise ValidationError({"accident_on": "An accident has a day."})
        if self.accident == Accident.AUTO and not self.accident_state:
            raise ValidationError({"accident_state": "A car accident has a state."})
        if not codes.are_valid(self.diagnosis_codes, self.procedure_codes):
            return  # the fields' own validators have said so
        self._add_up()
        self._refuse_dangling()

    def _refuse_dangling(self) -> None:
        """Refuse lines that point to what is not there: a diagnosis, or a doctor."""
        if codes.last_pointer(self.procedure_codes) > len(self.diagnosis_codes):
            raise ValidationError({"procedure_codes": "A line points to a diagnosis that is not in the list."})
        named = codes.doctors(self.procedure_codes)
        if named and Doctor.objects.filter(pk__in=named).count() < len(named):
            raise ValidationError({"procedure_codes": "A line names a doctor that is not there."})

    def _is_of_one_patient(self) -> bool:
        return self.appointment is None or self.appointment.patient_id == self.patient_insurance.patient_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._add_up()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.status != self.Status.DRAFT:
            raise DomainError("This claim has been submitted and is kept.")
        if self.submissions.filter(status__in=["queued", "batched"]).exists():
            raise DomainError("This claim waits to be sent. Withdraw it first.")
        return super().delete(*args, **kwargs)

    def _add_up(self) -> None:
        if self.billed_amount is None:
            self.billed_amount = codes.total(self.procedure_codes)

    @transaction.atomic
    def submit(self) -> None:
        """Release the draft to the payer: complete, and covered on its days of service. Nothing is sent from here."""
        self.refresh_from_db(fields=CONTENT, from_queryset=type(self)._base_manager.select_for_update(no_key=True))
        coverage = PatientInsurance._base_manager.select_for_update(no_key=True).get(pk=self.patient_insurance_id)
        if self.status == self.Status.DRAFT:
            self._refuse_incomplete(coverage)
        self._note(self.Status.SUBMITTED, submission_date=Clinic.today())

    def _refuse_incomplete(self, coverage: PatientInsurance) -> None:
        if not self.diagnosis_codes or not self.procedure_codes:
            raise DomainError("A claim needs at least one diagnosis and one procedure.")
        if self.service_date > Clinic.today():
            raise DomainError("A claim cannot be submitted before the day of service.")
        days = () if self.frequency == Frequency.VOID else (self.service_date, *codes.days(self.procedure_codes))
        for day in days:  # a claim is taken back just because there was no cover
            if not coverage.covers(day):
                raise DomainError("The coverage was not active on the day of service.")

    def _note(self, new: str, number: str = "", **changes: Any) -> None:
        """Move as a person may; a payer's own answers move more (`TRANSITIONS`). number: the payer's own, if told."""
        if new not in self.BY_HAND[self.Status(self.status)]:
            raise IllegalTransition(f"This claim is {self.status} and cannot become {new}.")
        self.move_to(new, **changes, **({"insurance_reference_number": number} if number else {}))

    def mark_as_pending(self) -> None:
        self._note(self.Status.PENDING)

    def accept(self, reference: str = "") -> None:
        """Note that the payer took the claim in; `reference` is the payer's own number for it."""
        self._note(self.Status.ACCEPTED, reference, response_date=Clinic.today())

    def reject(self, reason: str) -> None:
        """Note that the claim was turned back unjudged: correct it and submit it again."""
        self._note(self.Status.REJECTED, denial_reason=_said(reason), response_date=Clinic.today())

    def reopen(self) -> None:
        self._note(self.Status.DRAFT, submission_date=None, response_date=None)

    def deny(self, reason: str, *, payer_claim_number: str = "") -> None:
        """Note that the payer judged the claim and pays nothing."""
        reason, today = _said(reason), Clinic.today()
        self._note(self.Status.DENIED, payer_claim_number, denial_reason=reason, response_date=today)

    def appeal(self) -> None:
        self._note(self.Status.APPEALED)

    def mark_as_paid(
        self,
        amount: Decimal,
        reference: str = "",
        on: date | None = None,
        *,
        allowed: Decimal | None = None,
        patient_responsibility: Decimal | None = None,
        payer_claim_number: str = "",
    ) -> None:
        """Record the payer's payment. After an appeal `amount` is all that the payer has paid for this claim."""
        today = Clinic.today()
        paid_on = on or today
        if paid_on > today or (self.submission_date and paid_on < self.submission_date):
            raise DomainError("A payment comes after the submission and not in the future.")
        allowed = self.allowed_amount if allowed is None else allowed
        share = self.patient_responsibility if patient_responsibility is None else patient_responsibility
        self._refuse_amounts(amount, allowed, share)
        self._note(
            self.Status.PAID,
            payer_claim_number,
            paid_amount=amount,
            payment_reference=reference,
            payment_date=paid_on,
            response_date=paid_on,
            allowed_amount=allowed,
            patient_responsibility=share,
        )

    def _refuse_amounts(self, amount: Decimal, allowed: Decimal | None, share: Decimal | None) -> None:
        if min(amount, allowed or 0, share or 0) < 0:
            raise DomainError("Amounts cannot be negative.")
        limit = self.billed_amount if allowed is None else allowed
        if limit > self.billed_amount:
            raise DomainError("The payer cannot allow more than was billed.")
        if amount + (share or 0) > limit:
            raise DomainError("Payment and patient's share together are more than the payer allows.")


def _said(reason: str) -> str:
    if not reason.strip():
        raise DomainError("Say what the payer gave as its reason.")
    return reason
