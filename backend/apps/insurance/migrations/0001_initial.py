"""Creates billing's tables, with the rules only a trigger can hold."""

import backend.apps.core.bases
import backend.apps.core.documents
import backend.apps.core.validators
import backend.apps.insurance.codes
import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.lookups
from decimal import Decimal
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

# What a claim bills is the sum of its lines: a CHECK may not hold a subquery, but it may call an immutable function.
LINES_TOTAL = """
CREATE FUNCTION insurance_lines_total(lines jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(sum((line ->> 'charge')::numeric), 0) FROM jsonb_array_elements(lines) AS line
$$;
"""

# A claim for one patient's appointment under another patient's coverage would tell the payer about the wrong person.
ONE_PATIENT = """
CREATE FUNCTION insurance_refuse_two_patients() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT patient_id FROM appointments_appointment WHERE id = NEW.appointment_id)
       IS DISTINCT FROM (SELECT patient_id FROM insurance_patientinsurance WHERE id = NEW.patient_insurance_id) THEN
        RAISE EXCEPTION 'appointment and coverage are not of the same patient'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'insurance_claim_one_patient';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER insurance_claim_one_patient
    BEFORE INSERT OR UPDATE OF appointment_id, patient_insurance_id ON insurance_insuranceclaim
    FOR EACH ROW WHEN (NEW.appointment_id IS NOT NULL) EXECUTE FUNCTION insurance_refuse_two_patients();
"""

# A coverage never moves to another patient: its claims would move with it.
SAME_PATIENT = """
CREATE FUNCTION insurance_keep_patient() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a coverage stays with its patient'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'insurance_coverage_keeps_patient';
END $$;
CREATE TRIGGER insurance_coverage_keeps_patient BEFORE UPDATE OF patient_id ON insurance_patientinsurance
    FOR EACH ROW WHEN (NEW.patient_id IS DISTINCT FROM OLD.patient_id) EXECUTE FUNCTION insurance_keep_patient();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("appointments", "0001_initial"),
        ("patients", "0001_initial"),
    ]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL(
            "CREATE SEQUENCE insurance_claim_number START 100001", "DROP SEQUENCE insurance_claim_number"
        ),
        migrations.RunSQL(LINES_TOTAL, "DROP FUNCTION insurance_lines_total"),
        migrations.CreateModel(
            name="InsuranceProvider",
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
                ("company_name", models.CharField(max_length=160)),
                (
                    "payer_id",
                    models.CharField(
                        max_length=80,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z0-9][A-Z0-9-]{1,79}$", "Capital letters, digits and hyphens only."
                            )
                        ],
                    ),
                ),
                (
                    "phone",
                    models.CharField(
                        blank=True, max_length=16, validators=[backend.apps.core.validators.validate_phone]
                    ),
                ),
                (
                    "fax",
                    models.CharField(
                        blank=True, max_length=16, validators=[backend.apps.core.validators.validate_phone]
                    ),
                ),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("website", models.URLField(blank=True)),
                ("address_line1", models.CharField(blank=True, max_length=120)),
                ("address_line2", models.CharField(blank=True, max_length=120)),
                ("city", models.CharField(blank=True, max_length=80)),
                ("state", models.CharField(blank=True, max_length=2)),
                ("postal_code", models.CharField(blank=True, max_length=10)),
                ("claims_address_line1", models.CharField(blank=True, max_length=120)),
                ("claims_address_line2", models.CharField(blank=True, max_length=120)),
                ("claims_city", models.CharField(blank=True, max_length=80)),
                ("claims_state", models.CharField(blank=True, max_length=2)),
                ("claims_postal_code", models.CharField(blank=True, max_length=10)),
                ("electronic_claims_id", models.CharField(blank=True, max_length=80)),
                ("is_active", models.BooleanField(default=True)),
                ("accepts_assignment", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["company_name", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["company_name", "id"], name="provider_name"),
                    models.Index(fields=["is_active", "company_name"], name="provider_active"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="insurance_insuranceprovider_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("payer_id__regex", "^[A-Z0-9][A-Z0-9-]{1,79}$")),
                        name="insurance_provider_payer_id_form",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("company_name", ""), _negated=True), name="insurance_provider_named"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InsurancePlan",
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
                ("plan_name", models.CharField(max_length=160)),
                ("plan_number", models.CharField(blank=True, default="", max_length=50)),
                (
                    "plan_type",
                    models.CharField(
                        choices=[
                            ("hmo", "HMO"),
                            ("ppo", "PPO"),
                            ("epo", "EPO"),
                            ("pos", "POS"),
                            ("medicare", "Medicare"),
                            ("medicaid", "Medicaid"),
                            ("tricare", "TRICARE"),
                        ],
                        max_length=8,
                    ),
                ),
                ("group_number", models.CharField(blank=True, default="", max_length=50)),
                (
                    "copay_primary_care",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "copay_specialist",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "copay_emergency",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "annual_deductible",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "out_of_pocket_max",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "in_network_coverage",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=5,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "out_of_network_coverage",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=5,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="plans",
                        to="insurance.insuranceprovider",
                    ),
                ),
            ],
            options={
                "ordering": ["plan_name", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["plan_name", "id"], name="plan_name"),
                    models.Index(fields=["plan_type", "plan_name"], name="plan_type"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="insurance_insuranceplan_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(models.Q(("plan_number", ""), _negated=True), ("is_deleted", False)),
                        fields=("provider", "plan_number", "group_number"),
                        name="insurance_plan_number_once",
                        violation_error_message="This payer has a plan with this number and group already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("plan_type__in", ["hmo", "ppo", "epo", "pos", "medicare", "medicaid", "tricare"])
                        ),
                        name="insurance_plan_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("copay_primary_care__gte", 0)),
                        name="insurance_plan_copay_primary_care_not_neg",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("copay_specialist__gte", 0)), name="insurance_plan_copay_specialist_not_neg"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("copay_emergency__gte", 0)), name="insurance_plan_copay_emergency_not_neg"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("annual_deductible__gte", 0)),
                        name="insurance_plan_annual_deductible_not_neg",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("out_of_pocket_max__gte", 0)),
                        name="insurance_plan_out_of_pocket_max_not_neg",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("in_network_coverage__gte", 0), ("in_network_coverage__lte", 100)),
                        name="insurance_plan_in_network_coverage_percent",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("out_of_network_coverage__gte", 0), ("out_of_network_coverage__lte", 100)),
                        name="insurance_plan_out_of_network_coverage_percent",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("out_of_pocket_max__isnull", True),
                            ("annual_deductible__isnull", True),
                            ("out_of_pocket_max__gte", models.F("annual_deductible")),
                            _connector="OR",
                        ),
                        name="insurance_plan_deductible_within_max",
                        violation_error_message="The most a member pays a year includes the deductible.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PatientInsurance",
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
                    "priority",
                    models.PositiveSmallIntegerField(
                        choices=[(1, "Primary"), (2, "Secondary"), (3, "Tertiary")], default=1
                    ),
                ),
                ("policy_holder_name", models.CharField(blank=True, max_length=160)),
                (
                    "policy_holder_relationship",
                    models.CharField(
                        choices=[
                            ("self", "Self"),
                            ("spouse", "Spouse"),
                            ("child", "Child"),
                            ("parent", "Parent"),
                            ("other", "Other"),
                        ],
                        default="self",
                        help_text="What the patient is to the holder.",
                        max_length=6,
                    ),
                ),
                (
                    "policy_holder_dob",
                    models.DateField(
                        blank=True, null=True, validators=[backend.apps.core.validators.validate_not_future]
                    ),
                ),
                ("policy_number", models.CharField(max_length=50)),
                ("group_number", models.CharField(blank=True, max_length=50)),
                ("member_id", models.CharField(max_length=80)),
                ("effective_date", models.DateField()),
                ("termination_date", models.DateField(blank=True, null=True)),
                ("last_verified_date", models.DateField(blank=True, editable=False, null=True)),
                (
                    "verification_status",
                    models.CharField(
                        choices=[
                            ("unverified", "Unverified"),
                            ("verified", "Verified"),
                            ("failed", "Failed"),
                            ("expired", "Expired"),
                        ],
                        default="unverified",
                        editable=False,
                        max_length=10,
                    ),
                ),
                (
                    "front_card_image",
                    models.ImageField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("insurance/cards", "front_card_image"),
                        validators=[backend.apps.core.documents.validate_picture],
                    ),
                ),
                (
                    "back_card_image",
                    models.ImageField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("insurance/cards", "back_card_image"),
                        validators=[backend.apps.core.documents.validate_picture],
                    ),
                ),
                (
                    "insurance_plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="members",
                        to="insurance.insuranceplan",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="insurances", to="patients.patient"
                    ),
                ),
            ],
            options={
                "verbose_name": "coverage",
                "verbose_name_plural": "coverages",
                "ordering": ["patient", "priority", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["patient", "effective_date"], name="coverage_patient"),
                    models.Index(fields=["verification_status", "last_verified_date"], name="coverage_verification"),
                    models.Index(fields=["last_verified_date"], name="coverage_verified_on"),
                    models.Index(fields=["member_id"], name="coverage_member"),
                    models.Index(fields=["policy_number"], name="coverage_policy"),
                    models.Index(fields=["termination_date"], name="coverage_ends"),
                    models.Index(fields=["priority", "effective_date"], name="coverage_priority"),
                    models.Index(fields=["effective_date", "id"], name="coverage_begins"),
                    models.Index(fields=["-created_at", "id"], name="coverage_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="insurance_patientinsurance_deleted_has_time",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(("is_deleted", False)),
                        expressions=[
                            ("patient", "="),
                            ("priority", "="),
                            (
                                models.Func(
                                    models.F("effective_date"),
                                    models.F("termination_date"),
                                    models.Value("[]"),
                                    function="daterange",
                                    output_field=django.contrib.postgres.fields.ranges.DateRangeField(),
                                ),
                                "&&",
                            ),
                        ],
                        name="insurance_coverage_one_per_priority",
                        violation_error_message="Another coverage has this priority on some of these days.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__in", [1, 2, 3])), name="insurance_coverage_priority_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("policy_holder_relationship__in", ["self", "spouse", "child", "parent", "other"])
                        ),
                        name="insurance_coverage_relationship_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("verification_status__in", ["unverified", "verified", "failed", "expired"])
                        ),
                        name="insurance_coverage_verification_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("policy_holder_relationship", "self"),
                            models.Q(
                                models.Q(("policy_holder_name", ""), _negated=True),
                                ("policy_holder_dob__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="insurance_coverage_holder_known",
                        violation_error_message="Name and date of birth of the policy holder are needed.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("termination_date__isnull", True),
                            ("termination_date__gte", models.F("effective_date")),
                            _connector="OR",
                        ),
                        name="insurance_coverage_ends_after_start",
                        violation_error_message="A coverage cannot end before it begins.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("verification_status", "verified"), _negated=True),
                            ("last_verified_date__isnull", False),
                            _connector="OR",
                        ),
                        name="insurance_coverage_verified_has_date",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("member_id", ""), _negated=True), models.Q(("policy_number", ""), _negated=True)
                        ),
                        name="insurance_coverage_has_numbers",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InsuranceClaim",
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
                            ("draft", "Draft"),
                            ("submitted", "Submitted"),
                            ("pending", "Pending"),
                            ("accepted", "Accepted"),
                            ("rejected", "Rejected"),
                            ("paid", "Paid"),
                            ("appealed", "Appealed"),
                            ("denied", "Denied"),
                        ],
                        default="draft",
                        editable=False,
                        max_length=9,
                    ),
                ),
                (
                    "claim_number",
                    models.CharField(
                        db_default=models.Func(
                            output_field=models.CharField(max_length=20),
                            template="'C' || nextval('insurance_claim_number')::text",
                        ),
                        editable=False,
                        max_length=20,
                        unique=True,
                    ),
                ),
                ("service_date", models.DateField(validators=[backend.apps.core.validators.validate_not_future])),
                ("submission_date", models.DateField(blank=True, editable=False, null=True)),
                (
                    "diagnosis_codes",
                    models.JSONField(
                        blank=True, default=list, validators=[backend.apps.insurance.codes.validate_diagnosis_codes]
                    ),
                ),
                (
                    "procedure_codes",
                    models.JSONField(
                        blank=True, default=list, validators=[backend.apps.insurance.codes.validate_procedure_codes]
                    ),
                ),
                (
                    "billed_amount",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="The sum of the lines' charges; computed when left out.",
                        max_digits=12,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "allowed_amount",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        editable=False,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "paid_amount",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        editable=False,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "patient_responsibility",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        editable=False,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("insurance_reference_number", models.CharField(blank=True, editable=False, max_length=50)),
                ("response_date", models.DateField(blank=True, editable=False, null=True)),
                ("denial_reason", models.CharField(blank=True, editable=False, max_length=1000)),
                ("payment_date", models.DateField(blank=True, editable=False, null=True)),
                ("payment_reference", models.CharField(blank=True, editable=False, max_length=80)),
                (
                    "claim_form",
                    models.FileField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("insurance/claims", "claim_form"),
                        validators=[backend.apps.core.documents.validate_document],
                    ),
                ),
                (
                    "eob_document",
                    models.FileField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("insurance/eobs", "eob_document"),
                        validators=[backend.apps.core.documents.validate_document],
                    ),
                ),
                (
                    "appointment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="claims",
                        to="appointments.appointment",
                    ),
                ),
                (
                    "patient_insurance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="claims",
                        to="insurance.patientinsurance",
                    ),
                ),
            ],
            options={
                "verbose_name": "claim",
                "ordering": ["-created_at"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["status", "submission_date"], name="claim_status_submitted"),
                    models.Index(fields=["status", "-created_at"], name="claim_status_created"),
                    models.Index(fields=["-created_at", "id"], name="claim_created"),
                    models.Index(fields=["service_date"], name="claim_service_date"),
                    models.Index(fields=["submission_date"], name="claim_submission_date"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="insurance_insuranceclaim_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["draft", "submitted", "pending", "accepted", "rejected", "paid", "appealed", "denied"],
                            )
                        ),
                        name="insurance_claim_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("billed_amount__gte", 0)), name="insurance_claim_billed_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("allowed_amount__gte", 0), ("allowed_amount__lte", models.F("billed_amount"))
                        ),
                        name="insurance_claim_allowed_within_billed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("paid_amount__gte", 0)), name="insurance_claim_paid_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("patient_responsibility__gte", 0)),
                        name="insurance_claim_responsibility_not_neg",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.LessThanOrEqual(
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.functions.comparison.Coalesce(
                                    django.db.models.functions.comparison.Cast(
                                        models.F("paid_amount"), models.DecimalField(decimal_places=2, max_digits=12)
                                    ),
                                    models.Value(
                                        Decimal("0"), output_field=models.DecimalField(decimal_places=2, max_digits=12)
                                    ),
                                ),
                                "+",
                                django.db.models.functions.comparison.Coalesce(
                                    django.db.models.functions.comparison.Cast(
                                        models.F("patient_responsibility"),
                                        models.DecimalField(decimal_places=2, max_digits=12),
                                    ),
                                    models.Value(
                                        Decimal("0"), output_field=models.DecimalField(decimal_places=2, max_digits=12)
                                    ),
                                ),
                            ),
                            django.db.models.functions.comparison.Coalesce(
                                django.db.models.functions.comparison.Cast(
                                    models.F("allowed_amount"), models.DecimalField(decimal_places=2, max_digits=12)
                                ),
                                django.db.models.functions.comparison.Cast(
                                    models.F("billed_amount"), models.DecimalField(decimal_places=2, max_digits=12)
                                ),
                            ),
                        ),
                        name="insurance_claim_settled_within_allowed",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            models.F("billed_amount"),
                            models.Func(
                                models.F("procedure_codes"),
                                function="insurance_lines_total",
                                output_field=models.DecimalField(decimal_places=2, max_digits=12),
                            ),
                        ),
                        name="insurance_claim_billed_is_sum",
                        violation_error_message="The billed amount is not the sum of the lines' charges.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.Exact(
                                models.Func(
                                    models.F("diagnosis_codes"),
                                    function="jsonb_typeof",
                                    output_field=models.TextField(),
                                ),
                                models.Value("array"),
                            ),
                            django.db.models.lookups.LessThanOrEqual(
                                models.Func(
                                    models.F("diagnosis_codes"),
                                    function="jsonb_array_length",
                                    output_field=models.IntegerField(),
                                ),
                                12,
                            ),
                        ),
                        name="insurance_claim_diagnoses_list",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.Exact(
                                models.Func(
                                    models.F("procedure_codes"),
                                    function="jsonb_typeof",
                                    output_field=models.TextField(),
                                ),
                                models.Value("array"),
                            ),
                            django.db.models.lookups.LessThanOrEqual(
                                models.Func(
                                    models.F("procedure_codes"),
                                    function="jsonb_array_length",
                                    output_field=models.IntegerField(),
                                ),
                                50,
                            ),
                        ),
                        name="insurance_claim_procedures_list",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status", "draft"), ("submission_date__isnull", False), _connector="OR"),
                        name="insurance_claim_submitted_has_date",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "paid"), _negated=True),
                            models.Q(("paid_amount__isnull", False), ("payment_date__isnull", False)),
                            _connector="OR",
                        ),
                        name="insurance_claim_paid_has_payment",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["denied", "rejected"]), _negated=True),
                            models.Q(("denial_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="insurance_claim_refused_has_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("submission_date__isnull", True),
                            ("submission_date__gte", models.F("service_date")),
                            _connector="OR",
                        ),
                        name="insurance_claim_submitted_after_service",
                    ),
                ],
            },
        ),
        migrations.RunSQL(ONE_PATIENT, "DROP FUNCTION insurance_refuse_two_patients CASCADE"),
        migrations.RunSQL(SAME_PATIENT, "DROP FUNCTION insurance_keep_patient CASCADE"),
    ]
