"""Creates the tables of the app, and the rules that only the database can hold."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

import backend.apps.appointments.models
import backend.apps.core.bases
import backend.apps.core.validators

# Every change of time, doctor, place or status raises the version, whoever writes the row.
VERSION_RISES = """
CREATE FUNCTION appointments_version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.appointment_datetime, NEW.duration_minutes, NEW.doctor_id, NEW.location, NEW.status, NEW.is_deleted)
        IS DISTINCT FROM
        (OLD.appointment_datetime, OLD.duration_minutes, OLD.doctor_id, OLD.location, OLD.status, OLD.is_deleted)
    THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER appointments_version_rises BEFORE UPDATE ON appointments_appointment
    FOR EACH ROW EXECUTE FUNCTION appointments_version_rises();
"""
VERSION_RESTS = """
DROP TRIGGER appointments_version_rises ON appointments_appointment;
DROP FUNCTION appointments_version_rises();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("doctors", "0001_initial"),
        ("patients", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        BtreeGistExtension(),
        migrations.CreateModel(
            name="Appointment",
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
                            ("scheduled", "Scheduled"),
                            ("confirmed", "Confirmed"),
                            ("checked_in", "Checked In"),
                            ("in_progress", "In Progress"),
                            ("completed", "Completed"),
                            ("cancelled", "Cancelled"),
                            ("no_show", "No Show"),
                        ],
                        default="scheduled",
                        editable=False,
                        max_length=11,
                    ),
                ),
                (
                    "appointment_type",
                    models.CharField(
                        choices=[
                            ("consultation", "Consultation"),
                            ("follow_up", "Follow Up"),
                            ("procedure", "Procedure"),
                            ("lab_work", "Lab Work"),
                            ("vaccination", "Vaccination"),
                            ("telemedicine", "Telemedicine"),
                        ],
                        default="consultation",
                        max_length=12,
                    ),
                ),
                ("appointment_datetime", models.DateTimeField()),
                (
                    "duration_minutes",
                    models.PositiveSmallIntegerField(
                        default=30,
                        validators=[
                            django.core.validators.MinValueValidator(5),
                            django.core.validators.MaxValueValidator(480),
                        ],
                    ),
                ),
                (
                    "ends_at",
                    models.GeneratedField(
                        db_persist=True,
                        expression=backend.apps.appointments.models.EndOfVisit(
                            "appointment_datetime", "duration_minutes"
                        ),
                        output_field=models.DateTimeField(),
                    ),
                ),
                (
                    "location",
                    models.CharField(blank=True, help_text="Room, branch or video link's name.", max_length=120),
                ),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("checked_in_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("started_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("checked_out_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("cancelled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("cancellation_reason", models.CharField(blank=True, editable=False, max_length=300)),
                (
                    "availability_override_reason",
                    models.CharField(
                        blank=True, help_text="Why this visit may lie outside the doctor's hours.", max_length=200
                    ),
                ),
                ("version", models.PositiveIntegerField(db_default=1, default=1, editable=False)),
                (
                    "availability_overridden_by",
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
                        on_delete=django.db.models.deletion.PROTECT, related_name="appointments", to="doctors.doctor"
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="appointments", to="patients.patient"
                    ),
                ),
                (
                    "rescheduled_from",
                    models.OneToOneField(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rescheduled_to",
                        to="appointments.appointment",
                    ),
                ),
            ],
            options={
                "ordering": ["appointment_datetime", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["doctor", "appointment_datetime"], name="appointment_doctor_time"),
                    models.Index(fields=["patient", "appointment_datetime"], name="appointment_patient_time"),
                    models.Index(fields=["appointment_datetime", "id"], name="appointment_time"),
                    models.Index(fields=["status", "appointment_datetime"], name="appointment_status_time"),
                    models.Index(fields=["appointment_type", "appointment_datetime"], name="appointment_type_time"),
                    models.Index(fields=["-created_at", "id"], name="appointment_newest"),
                    models.Index(fields=["-updated_at", "id"], name="appointment_changed"),
                    models.Index(fields=["location", "appointment_datetime"], name="appointment_place_time"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="appointments_appointment_deleted_has_time",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(
                            ("is_deleted", False),
                            ("status__in", ["scheduled", "confirmed", "checked_in", "in_progress"]),
                        ),
                        expressions=[
                            ("doctor", "="),
                            (
                                backend.apps.appointments.models.TimeRange(
                                    "appointment_datetime",
                                    "ends_at",
                                    django.contrib.postgres.fields.ranges.RangeBoundary(),
                                ),
                                "&&",
                            ),
                        ],
                        name="appointments_appointment_doctor_once",
                        violation_error_message="The doctor already has an appointment at that time.",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(
                            ("is_deleted", False),
                            ("status__in", ["scheduled", "confirmed", "checked_in", "in_progress"]),
                        ),
                        expressions=[
                            ("patient", "="),
                            (
                                backend.apps.appointments.models.TimeRange(
                                    "appointment_datetime",
                                    "ends_at",
                                    django.contrib.postgres.fields.ranges.RangeBoundary(),
                                ),
                                "&&",
                            ),
                        ],
                        name="appointments_appointment_patient_once",
                        violation_error_message="The patient already has an appointment at that time.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    "scheduled",
                                    "confirmed",
                                    "checked_in",
                                    "in_progress",
                                    "completed",
                                    "cancelled",
                                    "no_show",
                                ],
                            )
                        ),
                        name="appointments_appointment_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "appointment_type__in",
                                ["consultation", "follow_up", "procedure", "lab_work", "vaccination", "telemedicine"],
                            )
                        ),
                        name="appointments_appointment_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("duration_minutes__range", (5, 480))),
                        name="appointments_appointment_duration",
                        violation_error_message="A visit lasts 5 to 480 minutes.",
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
                        name="appointments_appointment_cancelled_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("availability_overridden_by__isnull", True),
                            models.Q(("availability_override_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="appointments_appointment_override_has_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("checked_out_at__isnull", True),
                            ("checked_in_at__isnull", True),
                            ("checked_out_at__gte", models.F("checked_in_at")),
                            _connector="OR",
                        ),
                        name="appointments_appointment_out_after_in",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("rescheduled_from__isnull", True),
                            models.Q(("rescheduled_from", models.F("id")), _negated=True),
                            _connector="OR",
                        ),
                        name="appointments_appointment_not_from_itself",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AppointmentReminder",
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
                ("appointment_version", models.PositiveIntegerField(editable=False)),
                ("offset_minutes", models.PositiveIntegerField(editable=False)),
                (
                    "reminder_type",
                    models.CharField(
                        choices=[("email", "e-mail"), ("sms", "text message"), ("push", "push message")], max_length=5
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("sent", "Sent"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                            ("bounced", "Bounced"),
                            ("suppressed", "suppressed: not wanted when it was due"),
                            ("superseded", "superseded: the appointment changed first"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("status_reason", models.CharField(blank=True, editable=False, max_length=200)),
                ("scheduled_send_time", models.DateTimeField()),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("delivered_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("recipient_email", models.EmailField(blank=True, editable=False, max_length=254)),
                (
                    "recipient_phone",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=16,
                        validators=[backend.apps.core.validators.validate_phone],
                    ),
                ),
                ("external_id", models.CharField(blank=True, editable=False, max_length=128)),
                (
                    "appointment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reminders",
                        to="appointments.appointment",
                    ),
                ),
            ],
            options={
                "ordering": ["scheduled_send_time", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="reminder_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")), fields=["leased_until"], name="reminder_running"
                    ),
                    models.Index(
                        condition=models.Q(("external_id", ""), _negated=True),
                        fields=["external_id"],
                        name="reminder_external",
                    ),
                    models.Index(fields=["scheduled_send_time", "id"], name="reminder_time"),
                    models.Index(fields=["status", "scheduled_send_time"], name="reminder_status_time"),
                    models.Index(fields=["reminder_type", "scheduled_send_time"], name="reminder_type_time"),
                    models.Index(fields=["-created_at", "id"], name="reminder_newest"),
                    models.Index(fields=["work_state", "scheduled_send_time"], name="reminder_work_state"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="appointments_appointmentreminder_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        fields=("appointment", "appointment_version", "offset_minutes", "reminder_type"),
                        name="appointments_reminder_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reminder_type__in", ["email", "sms", "push"])),
                        name="appointments_reminder_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["pending", "sent", "delivered", "failed", "bounced", "suppressed", "superseded"],
                            )
                        ),
                        name="appointments_reminder_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="appointments_reminder_work_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["sent", "delivered"]), _negated=True),
                            ("sent_at__isnull", False),
                            _connector="OR",
                        ),
                        name="appointments_reminder_sent_has_time",
                    ),
                ],
            },
        ),
        migrations.RunSQL(VERSION_RISES, VERSION_RESTS),
    ]
