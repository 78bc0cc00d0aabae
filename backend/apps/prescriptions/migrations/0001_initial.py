"""Creates the tables of the app, and the rules that only the database can hold."""

import backend.apps.core.bases
import backend.apps.core.validators
import backend.apps.prescriptions.ndc
import datetime
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("appointments", "0001_initial"),
        ("doctors", "0001_initial"),
        ("patients", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE prescriptions_number AS bigint", "DROP SEQUENCE prescriptions_number"),
        migrations.CreateModel(
            name="Medication",
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
                    "ndc_code",
                    models.CharField(
                        max_length=13,
                        unique=True,
                        validators=[backend.apps.prescriptions.ndc.validate_ndc],
                        verbose_name="NDC",
                    ),
                ),
                ("brand_name", models.CharField(blank=True, max_length=160)),
                ("generic_name", models.CharField(max_length=160)),
                (
                    "drug_class",
                    models.CharField(
                        choices=[
                            ("antibiotic", "Antibiotic"),
                            ("analgesic", "Analgesic"),
                            ("antihypertensive", "Antihypertensive"),
                            ("antidiabetic", "Antidiabetic"),
                            ("antidepressant", "Antidepressant"),
                            ("anxiolytic", "Anxiolytic"),
                            ("anticoagulant", "Anticoagulant"),
                            ("anticonvulsant", "Anticonvulsant"),
                            ("antihistamine", "Antihistamine"),
                            ("antiviral", "Antiviral"),
                            ("bronchodilator", "Bronchodilator"),
                            ("corticosteroid", "Corticosteroid"),
                            ("diuretic", "Diuretic"),
                            ("hormone", "Hormone"),
                            ("statin", "Statin"),
                            ("stimulant", "Stimulant"),
                            ("vaccine", "Vaccine"),
                            ("other", "Other"),
                        ],
                        default="other",
                        max_length=20,
                    ),
                ),
                (
                    "controlled_substance_schedule",
                    models.CharField(
                        blank=True,
                        choices=[("I", "I"), ("II", "II"), ("III", "III"), ("IV", "IV"), ("V", "V")],
                        max_length=3,
                    ),
                ),
                ("strength", models.CharField(max_length=60)),
                ("dosage_form", models.CharField(max_length=60)),
                ("typical_dosage", models.CharField(blank=True, max_length=200)),
                ("indications", models.TextField(blank=True, max_length=5000)),
                ("contraindications", models.TextField(blank=True, max_length=5000)),
                ("side_effects", models.TextField(blank=True, max_length=5000)),
                ("interactions", models.TextField(blank=True, max_length=5000)),
                (
                    "unit_price",
                    models.DecimalField(
                        decimal_places=4,
                        default=0,
                        max_digits=10,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("manufacturer", models.CharField(blank=True, max_length=160)),
                ("is_active", models.BooleanField(default=True)),
                ("is_formulary", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["generic_name", "strength", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        django.contrib.postgres.indexes.OpClass(
                            django.db.models.functions.text.Upper("generic_name"), name="text_pattern_ops"
                        ),
                        name="medication_generic",
                    ),
                    models.Index(
                        django.contrib.postgres.indexes.OpClass(
                            django.db.models.functions.text.Upper("brand_name"), name="text_pattern_ops"
                        ),
                        name="medication_brand",
                    ),
                    models.Index(fields=["drug_class", "generic_name"], name="medication_class"),
                    models.Index(fields=["controlled_substance_schedule"], name="medication_schedule"),
                    models.Index(fields=["is_active", "is_formulary"], name="medication_formulary"),
                    models.Index(fields=["-created_at", "id"], name="medication_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="prescriptions_medication_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ndc_code__regex", "^[0-9]{5}-[0-9]{4}-[0-9]{2}$")),
                        name="prescriptions_medication_ndc_form",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "drug_class__in",
                                [
                                    "antibiotic",
                                    "analgesic",
                                    "antihypertensive",
                                    "antidiabetic",
                                    "antidepressant",
                                    "anxiolytic",
                                    "anticoagulant",
                                    "anticonvulsant",
                                    "antihistamine",
                                    "antiviral",
                                    "bronchodilator",
                                    "corticosteroid",
                                    "diuretic",
                                    "hormone",
                                    "statin",
                                    "stimulant",
                                    "vaccine",
                                    "other",
                                ],
                            )
                        ),
                        name="prescriptions_medication_class_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("controlled_substance_schedule__in", ["", "I", "II", "III", "IV", "V"])),
                        name="prescriptions_medication_schedule_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("generic_name", ""), _negated=True), name="prescriptions_medication_named"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("unit_price__gte", 0)), name="prescriptions_medication_price"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Prescription",
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
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("completed", "Completed"),
                            ("cancelled", "Cancelled"),
                            ("expired", "Expired"),
                            ("on_hold", "On Hold"),
                        ],
                        default="active",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("prescription_number", models.CharField(editable=False, max_length=20, unique=True)),
                ("prescribed_date", models.DateField(editable=False)),
                ("dosage", models.CharField(max_length=120)),
                ("frequency", models.CharField(max_length=120)),
                (
                    "route",
                    models.CharField(
                        choices=[
                            ("oral", "Oral"),
                            ("sublingual", "Sublingual"),
                            ("topical", "Topical"),
                            ("transdermal", "Transdermal"),
                            ("inhaled", "Inhaled"),
                            ("nasal", "Nasal"),
                            ("ophthalmic", "Ophthalmic"),
                            ("otic", "Otic"),
                            ("rectal", "Rectal"),
                            ("vaginal", "Vaginal"),
                            ("intravenous", "Intravenous"),
                            ("intramuscular", "Intramuscular"),
                            ("subcutaneous", "Subcutaneous"),
                            ("other", "Other"),
                        ],
                        default="oral",
                        max_length=13,
                    ),
                ),
                (
                    "duration_days",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(366),
                        ],
                    ),
                ),
                (
                    "quantity",
                    models.DecimalField(
                        decimal_places=2, max_digits=9, validators=[django.core.validators.MinValueValidator(0)]
                    ),
                ),
                (
                    "refills_allowed",
                    models.PositiveSmallIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(99)]
                    ),
                ),
                ("refills_remaining", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("fills", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("instructions", models.TextField(blank=True, max_length=2000)),
                ("indication", models.CharField(blank=True, max_length=300)),
                ("pharmacy_name", models.CharField(blank=True, max_length=160)),
                (
                    "pharmacy_phone",
                    models.CharField(
                        blank=True, max_length=16, validators=[backend.apps.core.validators.validate_phone]
                    ),
                ),
                (
                    "schedule",
                    models.CharField(
                        blank=True,
                        choices=[("I", "I"), ("II", "II"), ("III", "III"), ("IV", "IV"), ("V", "V")],
                        editable=False,
                        max_length=3,
                    ),
                ),
                ("dea_number_used", models.CharField(blank=True, editable=False, max_length=9)),
                ("electronically_sent", models.BooleanField(default=False, editable=False)),
                ("sent_to_pharmacy_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("expiration_date", models.DateField(blank=True)),
                ("last_filled_date", models.DateField(blank=True, editable=False, null=True)),
                ("cancelled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("cancellation_reason", models.CharField(blank=True, editable=False, max_length=300)),
                (
                    "appointment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prescriptions",
                        to="appointments.appointment",
                    ),
                ),
                (
                    "doctor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="prescriptions", to="doctors.doctor"
                    ),
                ),
                (
                    "medication",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prescriptions",
                        to="prescriptions.medication",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="prescriptions", to="patients.patient"
                    ),
                ),
            ],
            options={
                "ordering": ["-prescribed_date", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["patient", "-prescribed_date"], name="prescription_patient_newest"),
                    models.Index(fields=["doctor", "-prescribed_date"], name="prescription_doctor_newest"),
                    models.Index(fields=["medication", "-prescribed_date"], name="prescription_medication"),
                    models.Index(fields=["status", "-prescribed_date"], name="prescription_status"),
                    models.Index(
                        condition=models.Q(("status__in", ["active", "on_hold"])),
                        fields=["expiration_date"],
                        name="prescription_may_expire",
                    ),
                    models.Index(fields=["expiration_date"], name="prescription_expiry"),
                    models.Index(fields=["-prescribed_date", "id"], name="prescription_by_date"),
                    models.Index(fields=["-created_at", "id"], name="prescription_newest"),
                    models.Index(fields=["-updated_at", "id"], name="prescription_changed"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="prescriptions_prescription_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["active", "completed", "cancelled", "expired", "on_hold"])),
                        name="prescriptions_prescription_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "route__in",
                                [
                                    "oral",
                                    "sublingual",
                                    "topical",
                                    "transdermal",
                                    "inhaled",
                                    "nasal",
                                    "ophthalmic",
                                    "otic",
                                    "rectal",
                                    "vaginal",
                                    "intravenous",
                                    "intramuscular",
                                    "subcutaneous",
                                    "other",
                                ],
                            )
                        ),
                        name="prescriptions_prescription_route_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("refills_remaining__gte", 0), ("refills_remaining__lte", models.F("refills_allowed"))
                        ),
                        name="prescriptions_prescription_refills_add_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("fills", 0),
                                ("last_filled_date__isnull", True),
                                ("refills_remaining", models.F("refills_allowed")),
                            ),
                            models.Q(
                                (
                                    "fills",
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("refills_allowed"), "-", models.F("refills_remaining")
                                        ),
                                        "+",
                                        models.Value(1),
                                    ),
                                ),
                                ("fills__gte", 1),
                                ("last_filled_date__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="prescriptions_prescription_fills_add_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("refills_allowed__lte", 99)), name="prescriptions_prescription_refills_most"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("quantity__gt", 0)),
                        name="prescriptions_prescription_quantity",
                        violation_error_message="Prescribe more than nothing.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expiration_date__gt", models.F("prescribed_date")),
                            (
                                "expiration_date__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("prescribed_date"), "+", models.Value(datetime.timedelta(days=366))
                                ),
                            ),
                        ),
                        name="prescriptions_prescription_expires_in_a_year",
                        violation_error_message="A prescription expires after it is written, within a year.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("schedule", ""),
                            (
                                "expiration_date__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("prescribed_date"), "+", models.Value(datetime.timedelta(days=184))
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="prescriptions_prescription_controlled_expires",
                        violation_error_message="A prescription of a controlled substance expires within six months.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("schedule", ""),
                            models.Q(("refills_allowed", 0), ("schedule", "II")),
                            models.Q(("refills_allowed__lte", 5), ("schedule__in", ("III", "IV", "V"))),
                            _connector="OR",
                        ),
                        name="prescriptions_prescription_schedule_limits",
                        violation_error_message="A substance of this schedule may not be prescribed with so many refills.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("schedule", ""), ("dea_number_used__regex", "^[A-Z][A-Z9][0-9]{7}$"), _connector="OR"
                        ),
                        name="prescriptions_prescription_dea_when_controlled",
                        violation_error_message="A controlled substance needs the doctor's DEA number.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("electronically_sent", False), ("sent_to_pharmacy_at__isnull", False), _connector="OR"
                        ),
                        name="prescriptions_prescription_sent_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cancelled_at__isnull", False), ("status", "cancelled")),
                            models.Q(
                                models.Q(("status", "cancelled"), _negated=True),
                                ("cancellation_reason", ""),
                                ("cancelled_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="prescriptions_prescription_cancelled_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("pharmacy_phone__regex", "^(\\+[1-9][0-9]{4,14})?$")),
                        name="prescriptions_prescription_phone_e164",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("dosage", ""), _negated=True), models.Q(("frequency", ""), _negated=True)
                        ),
                        name="prescriptions_prescription_dosed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PrescriptionRefill",
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
                    "status",
                    models.CharField(
                        choices=[
                            ("requested", "Requested"),
                            ("approved", "Approved"),
                            ("denied", "Denied"),
                            ("filled", "Filled"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="requested",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("requested_date", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("requested_by_patient", models.BooleanField(default=False, editable=False)),
                ("approved_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("denial_reason", models.CharField(blank=True, editable=False, max_length=300)),
                ("filled_date", models.DateTimeField(blank=True, editable=False, null=True)),
                ("pharmacy_name", models.CharField(blank=True, max_length=160)),
                (
                    "quantity_filled",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        editable=False,
                        max_digits=9,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("notes", models.CharField(blank=True, max_length=500)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "prescription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refills",
                        to="prescriptions.prescription",
                    ),
                ),
            ],
            options={
                "ordering": ["-requested_date", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["prescription", "-requested_date"], name="refill_prescription"),
                    models.Index(fields=["status", "-requested_date"], name="refill_status"),
                    models.Index(fields=["-requested_date", "id"], name="refill_by_date"),
                    models.Index(fields=["-created_at", "id"], name="refill_newest"),
                    models.Index(fields=["-updated_at", "id"], name="refill_changed"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="prescriptions_prescriptionrefill_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["requested", "approved", "denied", "filled", "cancelled"])),
                        name="prescriptions_prescriptionrefill_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["approved", "filled"]), _negated=True),
                            models.Q(("approved_at__isnull", False), ("approved_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="prescriptions_prescriptionrefill_approved_by_whom",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("filled_date__isnull", False), ("quantity_filled__gt", 0), ("status", "filled")),
                            models.Q(
                                models.Q(("status", "filled"), _negated=True),
                                ("filled_date__isnull", True),
                                ("quantity_filled__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="prescriptions_prescriptionrefill_filled_how_much",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False), ("status__in", ["requested", "approved"])),
                        fields=("prescription",),
                        name="prescriptions_prescriptionrefill_one_open",
                        violation_error_message="A refill of this prescription has been asked for already.",
                    ),
                ],
            },
        ),
    ]
