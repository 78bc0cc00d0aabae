"""Creates the tables of the app, and the rules that only the database can hold."""

import backend.apps.core.bases
import backend.apps.core.documents
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.db.models.lookups
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# What a laboratory said stays as it was filed: a correction is another row. Only where the row stands among its versions,
# who verified it, and what it is linked to may change, and a verification stands.
RESULTS_STAY = """
CREATE FUNCTION laboratory_results_stay() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable text[] := ARRAY['lab_order_id', 'version', 'is_current', 'supersedes_id', 'sent_at', 'updated_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'A laboratory result is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.verified_at IS NULL THEN
        movable := movable || ARRAY['verified_by_id', 'verified_at', 'released_at'];
    END IF;
    IF OLD.lab_test_id IS NULL THEN
        movable := movable || ARRAY['lab_test_id'];
    END IF;
    IF OLD.file_attachment = '' THEN
        movable := movable || ARRAY['file_attachment'];
    END IF;
    IF to_jsonb(NEW) - movable IS DISTINCT FROM to_jsonb(OLD) - movable THEN
        RAISE EXCEPTION 'A laboratory result is never rewritten; file another version.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER laboratory_results_stay BEFORE UPDATE OR DELETE ON laboratory_labresult
    FOR EACH ROW EXECUTE FUNCTION laboratory_results_stay();
"""
RESULTS_CHANGE = """
DROP TRIGGER laboratory_results_stay ON laboratory_labresult;
DROP FUNCTION laboratory_results_stay();
"""

# What a laboratory sent stays as it was received.
MESSAGES_STAY = """
CREATE FUNCTION laboratory_messages_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A received message is never rewritten.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER laboratory_messages_stay
    BEFORE UPDATE OF raw, sha256, size_bytes, received_at, sending_application, sending_facility, control_id
    ON laboratory_inboundmessage FOR EACH ROW
    WHEN ((OLD.raw, OLD.sha256, OLD.size_bytes, OLD.received_at, OLD.sending_application, OLD.sending_facility,
           OLD.control_id)
          IS DISTINCT FROM
          (NEW.raw, NEW.sha256, NEW.size_bytes, NEW.received_at, NEW.sending_application, NEW.sending_facility,
           NEW.control_id))
    EXECUTE FUNCTION laboratory_messages_stay();
"""
MESSAGES_CHANGE = """
DROP TRIGGER laboratory_messages_stay ON laboratory_inboundmessage;
DROP FUNCTION laboratory_messages_stay();
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
        migrations.RunSQL("CREATE SEQUENCE laboratory_order_number AS bigint", "DROP SEQUENCE laboratory_order_number"),
        migrations.CreateModel(
            name="InboundMessage",
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
                    "work_state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("held", "held for a person"),
                        ],
                        db_default="waiting",
                        default="waiting",
                        editable=False,
                        max_length=8,
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        editable=False,
                    ),
                ),
                ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("lease_no", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ("begun_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ("last_error", models.CharField(blank=True, db_default="", default="", editable=False, max_length=300)),
                ("dedupe_key", models.CharField(editable=False, max_length=160, unique=True)),
                ("raw", models.BinaryField()),
                ("sha256", models.CharField(editable=False, max_length=64)),
                ("size_bytes", models.PositiveIntegerField(editable=False)),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        editable=False,
                    ),
                ),
                ("peer", models.CharField(blank=True, db_default="", editable=False, max_length=60)),
                ("sending_application", models.CharField(blank=True, db_default="", editable=False, max_length=250)),
                ("sending_facility", models.CharField(blank=True, db_default="", editable=False, max_length=250)),
                ("control_id", models.CharField(blank=True, db_default="", editable=False, max_length=250)),
                ("message_type", models.CharField(blank=True, db_default="", editable=False, max_length=60)),
                ("version", models.CharField(blank=True, db_default="", editable=False, max_length=60)),
                ("ack_code", models.CharField(blank=True, db_default="", editable=False, max_length=2)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("received", "Received"),
                            ("filed", "Filed"),
                            ("worklist", "on the worklist"),
                            ("rejected", "Rejected"),
                            ("duplicate", "Duplicate"),
                        ],
                        db_default="received",
                        default="received",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("status_reason", models.CharField(blank=True, db_default="", editable=False, max_length=300)),
                ("conflict", models.BooleanField(db_default=False, default=False, editable=False)),
                ("repeats", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                (
                    "patient",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="inbound_messages",
                        to="patients.patient",
                    ),
                ),
            ],
            options={
                "ordering": ["-received_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="inbound_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")), fields=["leased_until"], name="inbound_running"
                    ),
                    models.Index(fields=["status", "-received_at"], name="inbound_status"),
                    models.Index(
                        condition=models.Q(("patient__isnull", False)),
                        fields=["patient", "-received_at"],
                        name="inbound_patient",
                    ),
                    models.Index(fields=["control_id"], name="inbound_control_id"),
                    models.Index(fields=["-received_at", "id"], name="inbound_newest"),
                    models.Index(
                        condition=models.Q(("conflict", True)), fields=["-received_at"], name="inbound_conflict"
                    ),
                    models.Index(fields=["work_state", "-received_at"], name="inbound_work_state"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_inboundmessage_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        fields=("sending_application", "sending_facility", "control_id", "sha256"),
                        name="laboratory_inboundmessage_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["received", "filed", "worklist", "rejected", "duplicate"])),
                        name="laboratory_inboundmessage_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="laboratory_inboundmessage_work_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sha256__regex", "^[0-9a-f]{64}$")),
                        name="laboratory_inboundmessage_hash_form",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            models.F("size_bytes"), django.db.models.functions.text.Length("raw")
                        ),
                        name="laboratory_inboundmessage_size_true",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ack_code__in", ["", "AA", "AE", "AR", "CA", "CE", "CR"])),
                        name="laboratory_inboundmessage_ack_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LabOrder",
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
                            ("pending", "Pending"),
                            ("ordered", "Ordered"),
                            ("specimen_collected", "Specimen Collected"),
                            ("in_progress", "In Progress"),
                            ("completed", "Completed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=18,
                    ),
                ),
                (
                    "priority",
                    models.CharField(
                        choices=[("routine", "Routine"), ("urgent", "Urgent"), ("stat", "STAT")],
                        default="routine",
                        max_length=7,
                    ),
                ),
                ("clinical_indication", models.TextField(blank=True, max_length=2000)),
                (
                    "diagnosis_code",
                    models.CharField(
                        blank=True,
                        max_length=8,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^([A-Z][0-9][0-9A-Z](\\.[0-9A-Z]{1,4})?)?$", "Write an ICD-10-CM code, as E11.9."
                            )
                        ],
                    ),
                ),
                ("order_number", models.CharField(editable=False, max_length=20, unique=True)),
                ("order_date", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "placer_order_number",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The number another system placed this order under.",
                        max_length=200,
                    ),
                ),
                ("is_external", models.BooleanField(default=False, editable=False)),
                ("specimen_collected_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("completed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("cancelled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("cancellation_reason", models.CharField(blank=True, editable=False, max_length=300)),
                ("reviewed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "appointment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lab_orders",
                        to="appointments.appointment",
                    ),
                ),
                (
                    "cancelled_by",
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
                    "doctor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lab_orders",
                        to="doctors.doctor",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="lab_orders", to="patients.patient"
                    ),
                ),
                (
                    "reviewed_by",
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
                "ordering": ["-order_date", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["patient", "-order_date"], name="laborder_patient_newest"),
                    models.Index(fields=["doctor", "-order_date"], name="laborder_doctor_newest"),
                    models.Index(fields=["status", "-order_date"], name="laborder_status"),
                    models.Index(fields=["priority", "-order_date"], name="laborder_priority"),
                    models.Index(
                        condition=models.Q(("placer_order_number", ""), _negated=True),
                        fields=["placer_order_number"],
                        name="laborder_placer",
                    ),
                    models.Index(
                        condition=models.Q(("reviewed_at__isnull", True), ("status", "completed")),
                        fields=["doctor", "completed_at"],
                        name="laborder_unreviewed",
                    ),
                    models.Index(fields=["-order_date", "id"], name="laborder_by_date"),
                    models.Index(fields=["-created_at", "id"], name="laborder_newest"),
                    models.Index(fields=["-updated_at", "id"], name="laborder_changed"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_laborder_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["pending", "ordered", "specimen_collected", "in_progress", "completed", "cancelled"],
                            )
                        ),
                        name="laboratory_laborder_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__in", ["routine", "urgent", "stat"])),
                        name="laboratory_laborder_priority_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("doctor__isnull", False), ("is_external", True), _connector="OR"),
                        name="laboratory_laborder_has_doctor",
                        violation_error_message="An order needs the doctor who places it.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("diagnosis_code__regex", "^([A-Z][0-9][0-9A-Z](\\.[0-9A-Z]{1,4})?)?$")),
                        name="laboratory_laborder_diagnosis_form",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("order_number", ""), _negated=True), name="laboratory_laborder_numbered"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("completed_at__isnull", False), ("status", "completed")),
                            models.Q(models.Q(("status", "completed"), _negated=True), ("completed_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="laboratory_laborder_completed_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cancelled_at__isnull", False), ("status", "cancelled")),
                            models.Q(
                                models.Q(("status", "cancelled"), _negated=True),
                                ("cancelled_at__isnull", True),
                                ("cancelled_by__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="laboratory_laborder_cancelled_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reviewed_at__isnull", True), ("reviewed_by__isnull", True)),
                            models.Q(("reviewed_at__isnull", False), ("reviewed_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="laboratory_laborder_reviewed_by_whom",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FillerNumber",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sender", models.CharField(max_length=250)),
                ("number", models.CharField(max_length=200)),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="patients.patient"
                    ),
                ),
                (
                    "lab_order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="filler_numbers",
                        to="laboratory.laborder",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["number"], name="fillernumber_number")],
                "constraints": [
                    models.UniqueConstraint(fields=("patient", "sender", "number"), name="laboratory_fillernumber_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="LabTest",
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
                    "test_code",
                    models.CharField(
                        max_length=60,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9][A-Za-z0-9._/-]*$", "Letters, digits and . _ / - only, as 2823-3."
                            )
                        ],
                    ),
                ),
                (
                    "code_system",
                    models.CharField(choices=[("loinc", "LOINC"), ("local", "Local")], default="loinc", max_length=5),
                ),
                ("test_name", models.CharField(max_length=200)),
                (
                    "test_category",
                    models.CharField(
                        choices=[
                            ("hematology", "Hematology"),
                            ("chemistry", "Chemistry"),
                            ("microbiology", "Microbiology"),
                            ("immunology", "Immunology"),
                            ("pathology", "Pathology"),
                            ("radiology", "Radiology"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "specimen_type",
                    models.CharField(
                        choices=[
                            ("blood", "Blood"),
                            ("serum", "Serum"),
                            ("plasma", "Plasma"),
                            ("urine", "Urine"),
                            ("stool", "Stool"),
                            ("swab", "Swab"),
                            ("sputum", "Sputum"),
                            ("tissue", "Tissue"),
                            ("csf", "cerebrospinal fluid"),
                            ("saliva", "Saliva"),
                            ("none", "no specimen"),
                            ("other", "Other"),
                        ],
                        default="blood",
                        max_length=8,
                    ),
                ),
                ("preparation_instructions", models.TextField(blank=True, max_length=2000)),
                ("normal_range_min", models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True)),
                ("normal_range_max", models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True)),
                ("unit_of_measure", models.CharField(blank=True, max_length=40)),
                (
                    "price",
                    models.DecimalField(
                        decimal_places=2,
                        default=0,
                        max_digits=8,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "turnaround_time_hours",
                    models.PositiveSmallIntegerField(
                        default=24,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(2160),
                        ],
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["test_name", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        django.contrib.postgres.indexes.OpClass(
                            django.db.models.functions.text.Upper("test_name"), name="text_pattern_ops"
                        ),
                        name="labtest_name",
                    ),
                    models.Index(fields=["test_category", "test_name"], name="labtest_category"),
                    models.Index(fields=["is_active"], name="labtest_active"),
                    models.Index(fields=["-created_at", "id"], name="labtest_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labtest_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("test_code__regex", "^[A-Za-z0-9][A-Za-z0-9._/-]*$")),
                        name="laboratory_labtest_code_form",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("code_system__in", ["loinc", "local"])),
                        name="laboratory_labtest_system_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "test_category__in",
                                ["hematology", "chemistry", "microbiology", "immunology", "pathology", "radiology"],
                            )
                        ),
                        name="laboratory_labtest_category_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "specimen_type__in",
                                [
                                    "blood",
                                    "serum",
                                    "plasma",
                                    "urine",
                                    "stool",
                                    "swab",
                                    "sputum",
                                    "tissue",
                                    "csf",
                                    "saliva",
                                    "none",
                                    "other",
                                ],
                            )
                        ),
                        name="laboratory_labtest_specimen_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("test_name", ""), _negated=True), name="laboratory_labtest_named"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("normal_range_min__isnull", True),
                            ("normal_range_max__isnull", True),
                            ("normal_range_min__lte", models.F("normal_range_max")),
                            _connector="OR",
                        ),
                        name="laboratory_labtest_range_in_order",
                        violation_error_message="The lower end of the normal range is above the upper end.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("price__gte", 0)), name="laboratory_labtest_price_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("turnaround_time_hours__range", (1, 2160))),
                        name="laboratory_labtest_turnaround",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LabResult",
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
                            ("pending", "Pending"),
                            ("preliminary", "Preliminary"),
                            ("final", "Final"),
                            ("corrected", "Corrected"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="final",
                        max_length=11,
                    ),
                ),
                (
                    "abnormal_flag",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("normal", "Normal"),
                            ("high", "High"),
                            ("low", "Low"),
                            ("critical_high", "Critical High"),
                            ("critical_low", "Critical Low"),
                            ("abnormal", "Abnormal"),
                        ],
                        max_length=13,
                    ),
                ),
                ("result_value", models.TextField(blank=True)),
                ("numeric_value", models.DecimalField(blank=True, decimal_places=10, max_digits=28, null=True)),
                ("value_type", models.CharField(blank=True, max_length=20)),
                ("unit", models.TextField(blank=True)),
                ("reference_range", models.TextField(blank=True)),
                ("interpretation", models.TextField(blank=True)),
                (
                    "result_date",
                    models.DateTimeField(blank=True, help_text="When it was observed, if that is known.", null=True),
                ),
                (
                    "reported_at",
                    models.DateTimeField(blank=True, help_text="When the laboratory says it reported this.", null=True),
                ),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("verified_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("released_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "file_attachment",
                    models.FileField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("lab_results", "file_attachment"),
                        validators=[backend.apps.core.documents.validate_document],
                    ),
                ),
                ("code_as_sent", models.CharField(blank=True, max_length=200)),
                ("code_text_as_sent", models.TextField(blank=True)),
                ("code_system_as_sent", models.CharField(blank=True, max_length=200)),
                ("panel_code", models.CharField(blank=True, max_length=200)),
                ("sub_id", models.CharField(blank=True, max_length=200)),
                ("observation_index", models.PositiveIntegerField(blank=True, editable=False, null=True)),
                ("result_key", models.CharField(editable=False, max_length=64)),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("is_current", models.BooleanField(default=True, editable=False)),
                (
                    "entered_by",
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
                    "lab_order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="results", to="laboratory.laborder"
                    ),
                ),
                (
                    "source_message",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="results",
                        to="laboratory.inboundmessage",
                    ),
                ),
                (
                    "supersedes",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="superseded_by",
                        to="laboratory.labresult",
                    ),
                ),
                (
                    "verified_by",
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
                    "lab_test",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="results",
                        to="laboratory.labtest",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["lab_order", "is_current"], name="labresult_order"),
                    models.Index(fields=["lab_test", "-result_date"], name="labresult_test"),
                    models.Index(fields=["status", "-created_at"], name="labresult_status"),
                    models.Index(
                        condition=models.Q(("abnormal_flag", ""), _negated=True),
                        fields=["abnormal_flag", "-created_at"],
                        name="labresult_flag",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("is_current", True), ("status__in", ["final", "corrected"]), ("verified_at__isnull", True)
                        ),
                        fields=["-created_at", "id"],
                        name="labresult_unverified",
                    ),
                    models.Index(fields=["code_as_sent"], name="labresult_code"),
                    models.Index(fields=["result_date"], name="labresult_date"),
                    models.Index(fields=["-created_at", "id"], name="labresult_newest"),
                    models.Index(fields=["-updated_at", "id"], name="labresult_changed"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labresult_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ["pending", "preliminary", "final", "corrected", "cancelled"])
                        ),
                        name="laboratory_labresult_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "abnormal_flag__in",
                                ["", "normal", "high", "low", "critical_high", "critical_low", "abnormal"],
                            )
                        ),
                        name="laboratory_labresult_flag_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("result_key__regex", "^[0-9a-f]{64}$"), ("digest__regex", "^[0-9a-f]{64}$")
                        ),
                        name="laboratory_labresult_keyed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("version__gte", 1)), name="laboratory_labresult_version_counts"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("verified_at__isnull", True), ("verified_by__isnull", True)),
                            models.Q(("verified_at__isnull", False), ("verified_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="laboratory_labresult_verified_by_whom",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("released_at__isnull", True), ("verified_at__isnull", False), _connector="OR"
                        ),
                        name="laboratory_labresult_released_verified",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("verified_at__isnull", True), ("status__in", ("final", "corrected")), _connector="OR"
                        ),
                        name="laboratory_labresult_verified_final",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("supersedes__isnull", True),
                            models.Q(("supersedes", models.F("id")), _negated=True),
                            _connector="OR",
                        ),
                        name="laboratory_labresult_not_after_itself",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("lab_test__isnull", False),
                            models.Q(("code_as_sent", ""), _negated=True),
                            models.Q(("code_text_as_sent", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="laboratory_labresult_names_test",
                        violation_error_message="A result names the test it belongs to.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_current", True)),
                        fields=("result_key",),
                        name="laboratory_labresult_one_current",
                    ),
                    models.UniqueConstraint(fields=("result_key", "digest"), name="laboratory_labresult_said_once"),
                    models.UniqueConstraint(
                        deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                        fields=("result_key", "version"),
                        name="laboratory_labresult_version_once",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="laborder",
            name="tests",
            field=models.ManyToManyField(blank=True, related_name="lab_orders", to="laboratory.labtest"),
        ),
        migrations.RunSQL(RESULTS_STAY, RESULTS_CHANGE),
        migrations.RunSQL(MESSAGES_STAY, MESSAGES_CHANGE),
    ]
