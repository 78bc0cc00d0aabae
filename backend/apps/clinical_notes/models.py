"""What clinicians write down about a visit; once signed it stays as it is, in Python and in the database."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Func, Q
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone

from backend.apps.clinical_notes.validators import (
    BMI_LIMITS,
    BMI_SENTENCE,
    LIMITS,
    PRESSURE_SENTENCE,
    Measured,
    validate_attachments,
)
from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.core.sealed import SealedTextField

SIGNED = "This note is signed and stays as it is; write an amendment instead."


class NoteType(models.TextChoices):
    SOAP = "soap", "SOAP"
    PROGRESS = "progress"
    CONSULTATION = "consultation"
    ADMISSION = "admission"
    DISCHARGE = "discharge"
    PROCEDURE = "procedure"
    OPERATIVE = "operative"


class ClinicalNote(ClinicModel):
    """One note. A draft may change; a signed note may not, and what corrects it is a new note that `amends` it."""

    NoteType = NoteType

    access: ClassVar[scope.Access] = scope.of_patient(
        "patient", doctor_user="doctor__user", patient_filter=Q(is_signed=True)
    )

    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="clinical_notes")
    doctor = models.ForeignKey("doctors.Doctor", on_delete=models.PROTECT, related_name="clinical_notes")
    appointment = models.ForeignKey(
        "appointments.Appointment", null=True, blank=True, on_delete=models.PROTECT, related_name="clinical_notes"
    )
    note_type = models.CharField(max_length=12, choices=NoteType, default=NoteType.SOAP)
    chief_complaint = SealedTextField(blank=True, max_length=500)
    content = SealedTextField(blank=True, max_length=50_000)
    diagnosis = SealedTextField(blank=True, max_length=10_000)
    treatment_plan = SealedTextField(blank=True, max_length=10_000)
    follow_up_instructions = SealedTextField(blank=True, max_length=10_000)
    follow_up_date = models.DateField(null=True, blank=True)
    attachments = models.JSONField(default=list, blank=True, validators=[validate_attachments])
    amends = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="amendments"
    )
    is_signed = models.BooleanField(default=False, editable=False)
    signed_at = models.DateTimeField(null=True, blank=True, editable=False)
    signed_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(note_type__in=NoteType.values), name="clinical_notes_clinicalnote_type_known"
            ),
            models.CheckConstraint(
                condition=Q(is_signed=False, signed_at__isnull=True, signed_by__isnull=True)
                | Q(is_signed=True, signed_at__isnull=False, signed_by__isnull=False),
                name="clinical_notes_clinicalnote_signed_by_whom",
            ),
            models.CheckConstraint(
                condition=Q(amends__isnull=True) | ~Q(amends=F("id")),
                name="clinical_notes_clinicalnote_not_of_itself",
            ),
            models.CheckConstraint(
                condition=Exact(
                    Func(F("attachments"), function="jsonb_typeof", output_field=models.TextField()), "array"
                ),
                name="clinical_notes_clinicalnote_attachments_list",
            ),
            models.UniqueConstraint(
                fields=["amends"],
                condition=Q(is_signed=False, is_deleted=False),
                name="clinical_notes_clinicalnote_one_draft",
                violation_error_message="Somebody is already writing an amendment of this note.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["patient", "-created_at"], name="note_patient_newest"),
            models.Index(fields=["doctor", "-created_at"], name="note_doctor_newest"),
            models.Index(fields=["doctor", "-created_at"], name="note_unsigned", condition=Q(is_signed=False)),
            models.Index(fields=["note_type", "-created_at"], name="note_type_newest"),
            models.Index(fields=["follow_up_date"], name="note_follow_up"),
            models.Index(fields=["signed_at"], name="note_signed"),
            models.Index(fields=["-created_at", "id"], name="note_newest"),
        ]

    def refuse_if_signed(self) -> None:
        """Refuse unless the stored note is a draft; locks it, so that nobody signs while we write."""
        stored = type(self)._base_manager.select_for_update(no_key=True)
        if stored.filter(pk=self.pk).values_list("is_signed", flat=True).first():
            raise DomainError(SIGNED)

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            self.refuse_if_signed()
        super().save(*args, **kwargs)

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Mark this draft and its parts as deleted; a signed note is never deleted."""
        self.refuse_if_signed()
        for part in (SOAPNote, ProgressNote):
            part.objects.filter(clinical_note=self).delete()
        return super().delete(*args, **kwargs)

    def sign(self, user: Any) -> None:
        """Sign this note as its own doctor: from now on it stays as it is.

        Raises:
            DomainError: another person, or nothing to sign.
            Conflict: somebody signed, changed or deleted it since we read it.
        """
        if self.is_signed:
            raise DomainError(SIGNED)
        if user.role != Role.DOCTOR or self.doctor.user_id != user.pk:
            raise DomainError("Only the doctor of this note may sign it.")
        if not self.has_text:
            raise DomainError("This note is empty; write it before you sign it.")
        now = timezone.now()
        draft = type(self).objects.filter(pk=self.pk, is_signed=False)
        if not draft.update(is_signed=True, signed_at=now, signed_by=user, updated_at=now):
            raise Conflict("Someone else has just changed this note; load it again.")
        self.refresh_from_db()

    @property
    def has_text(self) -> bool:
        own = (self.content, self.diagnosis, self.treatment_plan)
        parts = (SOAPNote.objects.filter(clinical_note=self), ProgressNote.objects.filter(clinical_note=self))
        return any(text.strip() for text in own) or any(part.exists() for part in parts)

    def clean(self) -> None:
        super().clean()
        if self.appointment is not None and self.appointment.patient_id != self.patient_id:
            raise ValidationError({"appointment": "This appointment is of another patient."})


class NotePart(ClinicModel):
    """A structured part of one note, frozen together with it."""

    clinical_note: Any  # each part's own OneToOneField

    part_access: ClassVar[scope.Access] = scope.of_patient(
        "clinical_note__patient",
        doctor_user="clinical_note__doctor__user",
        patient_filter=Q(clinical_note__is_signed=True),
    )

    class Meta(ClinicModel.Meta):
        abstract = True

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        self.clinical_note.refuse_if_signed()
        super().save(*args, **kwargs)

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.clinical_note.refuse_if_signed()
        return super().delete(*args, **kwargs)

    def copy_to(self, note: ClinicalNote) -> Self:
        """Return an unsaved copy of this part that belongs to `note`."""
        own = {"id", "created_at", "updated_at", "is_deleted", "deleted_at", "clinical_note"}
        same = {field.name: getattr(self, field.name) for field in self._meta.fields if field.name not in own}
        return type(self)(clinical_note=note, **same)


def limit(name: str) -> models.CheckConstraint:
    """Return the constraint that holds the vital sign `name` to its limits, whoever writes the row."""
    least, most, sentence = LIMITS[name]
    return models.CheckConstraint(
        condition=Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": least, f"{name}__lte": most}),
        name=f"clinical_notes_soapnote_{name}",
        violation_error_message=sentence,
    )


class SOAPNote(NotePart):
    """Subjective, objective, assessment, plan, and the vital signs in °C, mmHg, kg and cm."""

    access: ClassVar[scope.Access] = NotePart.part_access

    clinical_note = models.OneToOneField(ClinicalNote, on_delete=models.PROTECT, related_name="soap_note")
    subjective = SealedTextField(blank=True, max_length=20_000)
    objective = SealedTextField(blank=True, max_length=20_000)
    assessment = SealedTextField(blank=True, max_length=20_000)
    plan = SealedTextField(blank=True, max_length=20_000)
    temperature = models.DecimalField(
        max_digits=4, decimal_places=1, null=True, blank=True, validators=[Measured("temperature")], help_text="°C"
    )
    blood_pressure_systolic = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[Measured("blood_pressure_systolic")], help_text="mmHg"
    )
    blood_pressure_diastolic = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[Measured("blood_pressure_diastolic")], help_text="mmHg"
    )
    heart_rate = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[Measured("heart_rate")], help_text="beats a minute"
    )
    respiratory_rate = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[Measured("respiratory_rate")], help_text="breaths a minute"
    )
    oxygen_saturation = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[Measured("oxygen_saturation")], help_text="percent"
    )
    weight = models.DecimalField(
        max_digits=5, decimal_places=2, null=True, blank=True, validators=[Measured("weight")], help_text="kg"
    )
    height = models.DecimalField(
        max_digits=4, decimal_places=1, null=True, blank=True, validators=[Measured("height")], help_text="cm"
    )

    class Meta(ClinicModel.Meta):
        verbose_name = "SOAP note"
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            *(limit(name) for name in LIMITS),
            models.CheckConstraint(
                condition=Q(blood_pressure_systolic__isnull=True, blood_pressure_diastolic__isnull=True)
                | Q(
                    blood_pressure_systolic__isnull=False,
                    blood_pressure_diastolic__isnull=False,
                    blood_pressure_systolic__gt=F("blood_pressure_diastolic"),
                ),
                name="clinical_notes_soapnote_pressure_pair",
                violation_error_message=PRESSURE_SENTENCE,
            ),
            models.CheckConstraint(
                condition=Q(weight__isnull=True)
                | Q(height__isnull=True)
                | Q(
                    weight__gte=F("height") * F("height") * BMI_LIMITS[0] / 10_000,
                    weight__lte=F("height") * F("height") * BMI_LIMITS[1] / 10_000,
                ),
                name="clinical_notes_soapnote_bmi_possible",
                violation_error_message=BMI_SENTENCE,
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at", "id"], name="soapnote_newest")]

    @property
    def bmi(self) -> Decimal | None:
        """Body mass index in kg/m² to one decimal; None without weight and height."""
        if not self.weight or not self.height:
            return None
        metres = Decimal(self.height) / 100
        return (Decimal(self.weight) / (metres * metres)).quantize(Decimal("0.1"), ROUND_HALF_UP)

    @property
    def blood_pressure(self) -> str | None:
        """Blood pressure in mmHg, as "120/80"; None when it was not taken."""
        if self.blood_pressure_systolic is None or self.blood_pressure_diastolic is None:
            return None
        return f"{self.blood_pressure_systolic}/{self.blood_pressure_diastolic}"


class ProgressNote(NotePart):
    """How a patient has done since the last visit."""

    access: ClassVar[scope.Access] = NotePart.part_access

    clinical_note = models.OneToOneField(ClinicalNote, on_delete=models.PROTECT, related_name="progress_note")
    current_status = SealedTextField(blank=True, max_length=20_000)
    progress_since_last_visit = SealedTextField(blank=True, max_length=20_000)
    symptoms_update = SealedTextField(blank=True, max_length=20_000)
    medications_review = SealedTextField(blank=True, max_length=20_000)
    treatment_effectiveness = SealedTextField(blank=True, max_length=20_000)
    plan_modifications = SealedTextField(blank=True, max_length=20_000)
    treatment_goals = SealedTextField(blank=True, max_length=20_000)
    goals_achieved = SealedTextField(blank=True, max_length=20_000)
    next_steps = SealedTextField(blank=True, max_length=20_000)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at", "id"], name="progressnote_newest")]


class ClinicalNoteTemplate(ClinicModel):
    """A text to begin a note from: one doctor's own, or everybody's when `doctor` is empty."""

    access: ClassVar[scope.Access] = scope.Access(
        sees_all=frozenset({Role.NURSE.value}), owners=("doctor__user",), common=Q(doctor__isnull=True)
    )

    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    note_type = models.CharField(max_length=12, choices=NoteType, default=NoteType.SOAP)
    template_content = models.TextField(max_length=50_000)
    doctor = models.ForeignKey(
        "doctors.Doctor", null=True, blank=True, on_delete=models.PROTECT, related_name="note_templates"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(note_type__in=NoteType.values), name="clinical_notes_template_type_known"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="clinical_notes_template_named"),
            models.UniqueConstraint(
                Lower("name"),
                "doctor",
                condition=Q(is_deleted=False),
                nulls_distinct=False,
                name="clinical_notes_template_name_once",
                violation_error_message="There is already a template of this name.",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["note_type", "name"], name="template_type_name"),
            models.Index(fields=["-created_at", "id"], name="template_newest"),
        ]
