"""Adds the waitlist, its offers, and recalls."""

import backend.apps.appointments.models.visits
import backend.apps.core.bases
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0003_default_policies"),
        ("doctors", "0002_covering_doctor"),
        ("patients", "0003_contacts"),
    ]

    operations = [
        migrations.CreateModel(
            name="FreedSlot",
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
                ("starts_at", models.DateTimeField(editable=False)),
                ("duration_minutes", models.PositiveSmallIntegerField(editable=False)),
                (
                    "ends_at",
                    models.GeneratedField(
                        db_persist=True,
                        expression=backend.apps.appointments.models.visits.EndOfVisit("starts_at", "duration_minutes"),
                        output_field=models.DateTimeField(),
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
                        editable=False,
                        max_length=12,
                    ),
                ),
                ("location", models.CharField(blank=True, editable=False, max_length=120)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("taken", "Taken"),
                            ("withdrawn", "withdrawn: no longer free"),
                            ("expired", "expired: nobody took it"),
                        ],
                        default="open",
                        editable=False,
                        max_length=9,
                    ),
                ),
                (
                    "doctor",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="freed_slots",
                        to="doctors.doctor",
                    ),
                ),
                (
                    "freed_by",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="freed_slots",
                        to="appointments.appointment",
                    ),
                ),
            ],
            options={
                "ordering": ["starts_at", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RecallRule",
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
                ("name", models.CharField(max_length=80)),
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
                        max_length=12,
                    ),
                ),
                (
                    "after_days",
                    models.PositiveSmallIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(7),
                            django.core.validators.MaxValueValidator(3660),
                        ]
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["name", "id"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="appointments_recallrule_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "appointment_type__in",
                                ["consultation", "follow_up", "procedure", "lab_work", "vaccination", "telemedicine"],
                            )
                        ),
                        name="appointments_recallrule_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("after_days__range", (7, 3660))),
                        name="appointments_recallrule_days",
                        violation_error_message="A recall is due 7 to 3660 days after the visit.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="appointments_recallrule_named"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Recall",
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
                        max_length=12,
                    ),
                ),
                ("due_on", models.DateField()),
                (
                    "reason",
                    models.CharField(blank=True, help_text="For staff only; patients are not sent it.", max_length=300),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("reminded", "Reminded"),
                            ("booked", "Booked"),
                            ("dismissed", "Dismissed"),
                        ],
                        db_default="open",
                        default="open",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("reminded_times", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ("reminded_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("handed_over_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "appointment",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="recalls",
                        to="appointments.appointment",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="recalls", to="patients.patient"
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="recalls",
                        to="appointments.recallrule",
                    ),
                ),
            ],
            options={
                "ordering": ["due_on", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="WaitlistEntry",
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
                ("from_on", models.DateField()),
                ("until_on", models.DateField()),
                ("earliest", models.TimeField(blank=True, null=True)),
                ("latest", models.TimeField(blank=True, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("booked", "Booked"), ("withdrawn", "Withdrawn")],
                        default="waiting",
                        editable=False,
                        max_length=9,
                    ),
                ),
                (
                    "note",
                    models.CharField(blank=True, help_text="For staff only; patients are not sent it.", max_length=300),
                ),
                (
                    "doctor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="waitlist_entries",
                        to="doctors.doctor",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="waitlist_entries",
                        to="patients.patient",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "waitlist entries",
                "ordering": ["created_at", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="WaitlistOffer",
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
                            ("offered", "Offered"),
                            ("accepted", "Accepted"),
                            ("declined", "Declined"),
                            ("expired", "Expired"),
                        ],
                        default="offered",
                        editable=False,
                        max_length=8,
                    ),
                ),
                ("held_until", models.DateTimeField(editable=False)),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "appointment",
                    models.OneToOneField(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="waitlist_offer",
                        to="appointments.appointment",
                    ),
                ),
                (
                    "entry",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="appointments.waitlistentry",
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="appointments.freedslot",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
            },
        ),
        migrations.AddIndex(
            model_name="freedslot",
            index=models.Index(
                condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="freed_slot_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="freedslot",
            index=models.Index(
                condition=models.Q(("work_state", "running")), fields=["leased_until"], name="freed_slot_running"
            ),
        ),
        migrations.AddIndex(
            model_name="freedslot",
            index=models.Index(
                condition=models.Q(("status", "open")), fields=["doctor", "starts_at"], name="freed_slot_open"
            ),
        ),
        migrations.AddIndex(
            model_name="freedslot",
            index=models.Index(fields=["starts_at", "id"], name="freed_slot_time"),
        ),
        migrations.AddConstraint(
            model_name="freedslot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="appointments_freedslot_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="freedslot",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["open", "taken", "withdrawn", "expired"])),
                name="appointments_slot_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="freedslot",
            constraint=models.CheckConstraint(
                condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                name="appointments_slot_work_state_known",
            ),
        ),
        migrations.AddIndex(
            model_name="recall",
            index=models.Index(
                condition=models.Q(("handed_over_at", None), ("status__in", ("open", "reminded"))),
                fields=["id"],
                name="recall_to_remind",
            ),
        ),
        migrations.AddIndex(
            model_name="recall",
            index=models.Index(fields=["status", "due_on"], name="recall_status"),
        ),
        migrations.AddIndex(
            model_name="recall",
            index=models.Index(fields=["appointment_type", "due_on"], name="recall_type"),
        ),
        migrations.AddIndex(
            model_name="recall",
            index=models.Index(fields=["due_on", "id"], name="recall_due"),
        ),
        migrations.AddIndex(
            model_name="recall",
            index=models.Index(fields=["-created_at", "id"], name="recall_newest"),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="appointments_recall_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_deleted", False), ("status__in", ("open", "reminded"))),
                fields=("patient", "appointment_type"),
                name="appointments_recall_once",
                violation_error_message="The patient is due for this already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["open", "reminded", "booked", "dismissed"])),
                name="appointments_recall_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "appointment_type__in",
                        ["consultation", "follow_up", "procedure", "lab_work", "vaccination", "telemedicine"],
                    )
                ),
                name="appointments_recall_type_known",
            ),
        ),
        migrations.AddIndex(
            model_name="waitlistentry",
            index=models.Index(
                condition=models.Q(("status", "waiting")),
                fields=["appointment_type", "created_at", "id"],
                name="waitlist_line",
            ),
        ),
        migrations.AddIndex(
            model_name="waitlistentry",
            index=models.Index(fields=["status", "created_at"], name="waitlist_status"),
        ),
        migrations.AddIndex(
            model_name="waitlistentry",
            index=models.Index(fields=["created_at", "id"], name="waitlist_oldest"),
        ),
        migrations.AddIndex(
            model_name="waitlistentry",
            index=models.Index(fields=["until_on"], name="waitlist_until"),
        ),
        migrations.AddConstraint(
            model_name="waitlistentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="appointments_waitlistentry_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_deleted", False), ("status", "waiting")),
                fields=("patient", "appointment_type", "doctor"),
                name="appointments_waitlist_once",
                nulls_distinct=False,
                violation_error_message="The patient waits for this already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["waiting", "booked", "withdrawn"])),
                name="appointments_waitlist_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "appointment_type__in",
                        ["consultation", "follow_up", "procedure", "lab_work", "vaccination", "telemedicine"],
                    )
                ),
                name="appointments_waitlist_type_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("until_on__gte", models.F("from_on"))),
                name="appointments_waitlist_days",
                violation_error_message="The last day is not before the first.",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("earliest__isnull", True),
                    ("latest__isnull", True),
                    ("latest__gt", models.F("earliest")),
                    _connector="OR",
                ),
                name="appointments_waitlist_hours",
                violation_error_message="The hours begin before they end.",
            ),
        ),
        migrations.AddIndex(
            model_name="waitlistoffer",
            index=models.Index(
                condition=models.Q(("status", "offered")), fields=["held_until"], name="waitlist_offer_held"
            ),
        ),
        migrations.AddIndex(
            model_name="waitlistoffer",
            index=models.Index(fields=["status", "-created_at"], name="waitlist_offer_status"),
        ),
        migrations.AddIndex(
            model_name="waitlistoffer",
            index=models.Index(fields=["-created_at", "id"], name="waitlist_offer_newest"),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="appointments_waitlistoffer_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.UniqueConstraint(fields=("slot", "entry"), name="appointments_offer_once"),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "accepted")), fields=("slot",), name="appointments_offer_one_wins"
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["offered", "accepted", "declined", "expired"])),
                name="appointments_offer_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("appointment__isnull", False), ("status", "accepted")),
                    models.Q(models.Q(("status", "accepted"), _negated=True), ("appointment__isnull", True)),
                    _connector="OR",
                ),
                name="appointments_offer_accepted_is_booked",
            ),
        ),
    ]
