"""Creates the tables of the app, and the rules that only the database can hold."""

from decimal import Decimal

import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.text
import django.db.models.lookups
from django.conf import settings
from django.db import migrations, models

import backend.apps.clinical_notes.validators
import backend.apps.core.bases

# A signed note and its parts stay as they are, whoever writes. A part takes a shared lock on its note, so that nobody
# signs the note between this look and the end of the transaction.
SIGNED_NOTES_STAY = """
CREATE FUNCTION clinical_notes_signed_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.is_signed THEN
        RAISE EXCEPTION 'a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER clinical_notes_signed_stays BEFORE UPDATE OR DELETE ON clinical_notes_clinicalnote
    FOR EACH ROW EXECUTE FUNCTION clinical_notes_signed_stays();

CREATE FUNCTION clinical_notes_signed_part_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    signed boolean := false;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT is_signed INTO signed FROM clinical_notes_clinicalnote WHERE id = OLD.clinical_note_id FOR SHARE;
    END IF;
    IF TG_OP <> 'DELETE' AND NOT COALESCE(signed, false) THEN
        SELECT is_signed INTO signed FROM clinical_notes_clinicalnote WHERE id = NEW.clinical_note_id FOR SHARE;
    END IF;
    IF signed THEN
        RAISE EXCEPTION 'a part of a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER clinical_notes_signed_part_stays BEFORE INSERT OR UPDATE OR DELETE ON clinical_notes_soapnote
    FOR EACH ROW EXECUTE FUNCTION clinical_notes_signed_part_stays();
CREATE TRIGGER clinical_notes_signed_part_stays BEFORE INSERT OR UPDATE OR DELETE ON clinical_notes_progressnote
    FOR EACH ROW EXECUTE FUNCTION clinical_notes_signed_part_stays();
"""
SIGNED_NOTES_CHANGE = """
DROP TRIGGER clinical_notes_signed_part_stays ON clinical_notes_progressnote;
DROP TRIGGER clinical_notes_signed_part_stays ON clinical_notes_soapnote;
DROP FUNCTION clinical_notes_signed_part_stays();
DROP TRIGGER clinical_notes_signed_stays ON clinical_notes_clinicalnote;
DROP FUNCTION clinical_notes_signed_stays();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("appointments", "0001_initial"),
        ("doctors", "0001_initial"),
        ("patients", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ClinicalNote",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "note_type",
                    models.CharField(
                        choices=[
                            ("soap", "SOAP"),
                            ("progress", "Progress"),
                            ("consultation", "Consultation"),
                            ("admission", "Admission"),
                            ("discharge", "Discharge"),
                            ("procedure", "Procedure"),
                            ("operative", "Operative"),
                        ],
                        default="soap",
                        max_length=12,
                    ),
                ),
                ("chief_complaint", models.CharField(blank=True, max_length=500)),
                ("content", models.TextField(blank=True, max_length=50000)),
                ("diagnosis", models.TextField(blank=True, max_length=10000)),
                ("treatment_plan", models.TextField(blank=True, max_length=10000)),
                ("follow_up_instructions", models.TextField(blank=True, max_length=10000)),
                ("follow_up_date", models.DateField(blank=True, null=True)),
                (
                    "attachments",
                    models.JSONField(
                        blank=True,
                        default=list,
                        validators=[backend.apps.clinical_notes.validators.validate_attachments],
                    ),
                ),
                ("is_signed", models.BooleanField(default=False, editable=False)),
                ("signed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "amends",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="amendments",
                        to="clinical_notes.clinicalnote",
                    ),
                ),
                (
                    "appointment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="clinical_notes",
                        to="appointments.appointment",
                    ),
                ),
                (
                    "doctor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="clinical_notes", to="doctors.doctor"
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="clinical_notes",
                        to="patients.patient",
                    ),
                ),
                (
                    "signed_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["patient", "-created_at"], name="note_patient_newest"),
                    models.Index(fields=["doctor", "-created_at"], name="note_doctor_newest"),
                    models.Index(
                        condition=models.Q(("is_signed", False)), fields=["doctor", "-created_at"], name="note_unsigned"
                    ),
                    models.Index(fields=["note_type", "-created_at"], name="note_type_newest"),
                    models.Index(fields=["follow_up_date"], name="note_follow_up"),
                    models.Index(fields=["signed_at"], name="note_signed"),
                    models.Index(fields=["-created_at", "id"], name="note_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="clinical_notes_clinicalnote_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "note_type__in",
                                [
                                    "soap",
                                    "progress",
                                    "consultation",
                                    "admission",
                                    "discharge",
                                    "procedure",
                                    "operative",
                                ],
                            )
                        ),
                        name="clinical_notes_clinicalnote_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("is_signed", False), ("signed_at__isnull", True), ("signed_by__isnull", True)),
                            models.Q(("is_signed", True), ("signed_at__isnull", False), ("signed_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="clinical_notes_clinicalnote_signed_by_whom",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amends__isnull", True),
                            models.Q(("amends", models.F("id")), _negated=True),
                            _connector="OR",
                        ),
                        name="clinical_notes_clinicalnote_not_of_itself",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            models.Func(
                                models.F("attachments"), function="jsonb_typeof", output_field=models.TextField()
                            ),
                            "array",
                        ),
                        name="clinical_notes_clinicalnote_attachments_list",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False), ("is_signed", False)),
                        fields=("amends",),
                        name="clinical_notes_clinicalnote_one_draft",
                        violation_error_message="Somebody is already writing an amendment of this note.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ClinicalNoteTemplate",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("name", models.CharField(max_length=120)),
                ("description", models.CharField(blank=True, max_length=500)),
                (
                    "note_type",
                    models.CharField(
                        choices=[
                            ("soap", "SOAP"),
                            ("progress", "Progress"),
                            ("consultation", "Consultation"),
                            ("admission", "Admission"),
                            ("discharge", "Discharge"),
                            ("procedure", "Procedure"),
                            ("operative", "Operative"),
                        ],
                        default="soap",
                        max_length=12,
                    ),
                ),
                ("template_content", models.TextField(max_length=50000)),
                (
                    "doctor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="note_templates",
                        to="doctors.doctor",
                    ),
                ),
            ],
            options={
                "ordering": ["name", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["note_type", "name"], name="template_type_name"),
                    models.Index(fields=["-created_at", "id"], name="template_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="clinical_notes_clinicalnotetemplate_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "note_type__in",
                                [
                                    "soap",
                                    "progress",
                                    "consultation",
                                    "admission",
                                    "discharge",
                                    "procedure",
                                    "operative",
                                ],
                            )
                        ),
                        name="clinical_notes_template_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="clinical_notes_template_named"
                    ),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("name"),
                        models.F("doctor"),
                        condition=models.Q(("is_deleted", False)),
                        name="clinical_notes_template_name_once",
                        nulls_distinct=False,
                        violation_error_message="There is already a template of this name.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProgressNote",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("current_status", models.TextField(blank=True, max_length=20000)),
                ("progress_since_last_visit", models.TextField(blank=True, max_length=20000)),
                ("symptoms_update", models.TextField(blank=True, max_length=20000)),
                ("medications_review", models.TextField(blank=True, max_length=20000)),
                ("treatment_effectiveness", models.TextField(blank=True, max_length=20000)),
                ("plan_modifications", models.TextField(blank=True, max_length=20000)),
                ("treatment_goals", models.TextField(blank=True, max_length=20000)),
                ("goals_achieved", models.TextField(blank=True, max_length=20000)),
                ("next_steps", models.TextField(blank=True, max_length=20000)),
                (
                    "clinical_note",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="progress_note",
                        to="clinical_notes.clinicalnote",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [models.Index(fields=["-created_at", "id"], name="progressnote_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="clinical_notes_progressnote_deleted_has_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SOAPNote",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("subjective", models.TextField(blank=True, max_length=20000)),
                ("objective", models.TextField(blank=True, max_length=20000)),
                ("assessment", models.TextField(blank=True, max_length=20000)),
                ("plan", models.TextField(blank=True, max_length=20000)),
                (
                    "temperature",
                    models.DecimalField(
                        blank=True,
                        decimal_places=1,
                        help_text="°C",
                        max_digits=4,
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("temperature")],
                    ),
                ),
                (
                    "blood_pressure_systolic",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="mmHg",
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("blood_pressure_systolic")],
                    ),
                ),
                (
                    "blood_pressure_diastolic",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="mmHg",
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("blood_pressure_diastolic")],
                    ),
                ),
                (
                    "heart_rate",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="beats a minute",
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("heart_rate")],
                    ),
                ),
                (
                    "respiratory_rate",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="breaths a minute",
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("respiratory_rate")],
                    ),
                ),
                (
                    "oxygen_saturation",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="percent",
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("oxygen_saturation")],
                    ),
                ),
                (
                    "weight",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="kg",
                        max_digits=5,
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("weight")],
                    ),
                ),
                (
                    "height",
                    models.DecimalField(
                        blank=True,
                        decimal_places=1,
                        help_text="cm",
                        max_digits=4,
                        null=True,
                        validators=[backend.apps.clinical_notes.validators.Measured("height")],
                    ),
                ),
                (
                    "clinical_note",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="soap_note",
                        to="clinical_notes.clinicalnote",
                    ),
                ),
            ],
            options={
                "verbose_name": "SOAP note",
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [models.Index(fields=["-created_at", "id"], name="soapnote_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("temperature__isnull", True),
                            models.Q(("temperature__gte", Decimal("20")), ("temperature__lte", Decimal("45"))),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_temperature",
                        violation_error_message="The temperature is in °C, 20 to 45; 98.6 °F is 37.0 °C.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("blood_pressure_systolic__isnull", True),
                            models.Q(
                                ("blood_pressure_systolic__gte", Decimal("30")),
                                ("blood_pressure_systolic__lte", Decimal("350")),
                            ),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_blood_pressure_systolic",
                        violation_error_message="Systolic pressure is in mmHg, 30 to 350.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("blood_pressure_diastolic__isnull", True),
                            models.Q(
                                ("blood_pressure_diastolic__gte", Decimal("10")),
                                ("blood_pressure_diastolic__lte", Decimal("250")),
                            ),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_blood_pressure_diastolic",
                        violation_error_message="Diastolic pressure is in mmHg, 10 to 250.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("heart_rate__isnull", True),
                            models.Q(("heart_rate__gte", Decimal("10")), ("heart_rate__lte", Decimal("350"))),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_heart_rate",
                        violation_error_message="The heart rate is in beats a minute, 10 to 350.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("respiratory_rate__isnull", True),
                            models.Q(
                                ("respiratory_rate__gte", Decimal("2")), ("respiratory_rate__lte", Decimal("120"))
                            ),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_respiratory_rate",
                        violation_error_message="The respiratory rate is in breaths a minute, 2 to 120.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("oxygen_saturation__isnull", True),
                            models.Q(
                                ("oxygen_saturation__gte", Decimal("20")), ("oxygen_saturation__lte", Decimal("100"))
                            ),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_oxygen_saturation",
                        violation_error_message="Oxygen saturation is in percent, 20 to 100.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("weight__isnull", True),
                            models.Q(("weight__gte", Decimal("0.2")), ("weight__lte", Decimal("650"))),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_weight",
                        violation_error_message="The weight is in kg, 0.2 to 650; 150 lb is 68.04 kg.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("height__isnull", True),
                            models.Q(("height__gte", Decimal("20")), ("height__lte", Decimal("275"))),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_height",
                        violation_error_message="The height is in cm, 20 to 275; 5 ft 10 in is 177.8 cm.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("blood_pressure_diastolic__isnull", True), ("blood_pressure_systolic__isnull", True)
                            ),
                            models.Q(
                                ("blood_pressure_diastolic__isnull", False),
                                ("blood_pressure_systolic__gt", models.F("blood_pressure_diastolic")),
                                ("blood_pressure_systolic__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_pressure_pair",
                        violation_error_message="Blood pressure is two numbers, the systolic one above the diastolic one.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("weight__isnull", True),
                            ("height__isnull", True),
                            models.Q(
                                (
                                    "weight__gte",
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            django.db.models.expressions.CombinedExpression(
                                                models.F("height"), "*", models.F("height")
                                            ),
                                            "*",
                                            models.Value(5),
                                        ),
                                        "/",
                                        models.Value(10000),
                                    ),
                                ),
                                (
                                    "weight__lte",
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            django.db.models.expressions.CombinedExpression(
                                                models.F("height"), "*", models.F("height")
                                            ),
                                            "*",
                                            models.Value(130),
                                        ),
                                        "/",
                                        models.Value(10000),
                                    ),
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="clinical_notes_soapnote_bmi_possible",
                        violation_error_message="Weight and height do not fit each other: the weight is in kg and the height in cm.",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SIGNED_NOTES_STAY, SIGNED_NOTES_CHANGE),
    ]
