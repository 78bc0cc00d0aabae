"""Adds the paging of critical results, what overdue results need, and the rhythm of feeds."""

import backend.apps.core.bases
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# --- sql
STEPS_STAY = """
CREATE FUNCTION laboratory_criticalstep_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The log of critical results is insert-only: % is refused.', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER laboratory_criticalstep_stays BEFORE UPDATE OR DELETE ON laboratory_criticalstep
    FOR EACH ROW EXECUTE FUNCTION laboratory_criticalstep_stays();
"""
STEPS_CHANGE = """
DROP TRIGGER laboratory_criticalstep_stays ON laboratory_criticalstep;
DROP FUNCTION laboratory_criticalstep_stays();
"""
# --- end


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0004_orders_out"),
        ("doctors", "0002_covering_doctor"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="CriticalPage",
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
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("critical", "acknowledge a critical result"),
                            ("corrected", "a critical result was corrected"),
                        ],
                        default="critical",
                        max_length=9,
                    ),
                ),
                (
                    "tier",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "the responsible doctor"), (1, "the covering doctor"), (2, "the administrators")]
                    ),
                ),
                ("channel", models.CharField(choices=[("sms", "text message"), ("email", "e-mail")], max_length=5)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("sent", "Sent"),
                            ("not_needed", "Not Needed"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("external_id", models.CharField(blank=True, editable=False, max_length=128)),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="criticalpage_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")),
                        fields=["leased_until"],
                        name="criticalpage_running",
                    ),
                    models.Index(fields=["work_state", "-created_at"], name="criticalpage_work_state"),
                    models.Index(fields=["-created_at", "id"], name="criticalpage_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_criticalpage_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["pending", "sent", "not_needed", "failed"])),
                        name="laboratory_criticalpage_status",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="laboratory_criticalpage_work",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("channel__in", ["sms", "email"])), name="laboratory_criticalpage_channel"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("subject__in", ["critical", "corrected"])),
                        name="laboratory_criticalpage_subject",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("tier__in", [0, 1, 2])), name="laboratory_criticalpage_tier"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CriticalPolicy",
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
                    "covering_after_minutes",
                    models.PositiveSmallIntegerField(
                        default=15,
                        help_text="From the first page to that of the covering doctor.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1440),
                        ],
                    ),
                ),
                (
                    "administrators_after_minutes",
                    models.PositiveSmallIntegerField(
                        default=15,
                        help_text="From the covering doctor's page to that of the administrators.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1440),
                        ],
                    ),
                ),
                (
                    "repeat_minutes",
                    models.PositiveSmallIntegerField(
                        default=30,
                        help_text="Between the pages of the administrators.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1440),
                        ],
                    ),
                ),
                (
                    "max_age_hours",
                    models.PositiveSmallIntegerField(
                        default=72,
                        help_text="What was reported earlier than this, as in a load of old results, is listed and pages nobody.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("sms", "a text message, e-mail where there is no number"),
                            ("email", "e-mail"),
                            ("both", "both"),
                        ],
                        default="sms",
                        max_length=5,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "critical policies",
                "ordering": ["created_at"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_criticalpolicy_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("covering_after_minutes__range", (1, 1440)),
                            ("administrators_after_minutes__range", (1, 1440)),
                            ("repeat_minutes__range", (1, 1440)),
                            ("max_age_hours__gte", 1),
                        ),
                        name="laboratory_criticalpolicy_waits",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("channel__in", ["sms", "email", "both"])),
                        name="laboratory_criticalpolicy_channel_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CriticalResult",
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
                        choices=[("open", "Open"), ("acknowledged", "Acknowledged"), ("closed", "Closed")],
                        default="open",
                        editable=False,
                        max_length=12,
                    ),
                ),
                (
                    "tier",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "the responsible doctor"), (1, "the covering doctor"), (2, "the administrators")],
                        default=0,
                        editable=False,
                    ),
                ),
                ("rounds", models.PositiveIntegerField(default=0, editable=False)),
                ("due_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("acknowledged_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("read_back", models.CharField(blank=True, editable=False, max_length=200)),
                (
                    "how",
                    models.CharField(
                        blank=True,
                        choices=[("", "not yet"), ("online", "Online"), ("phone", "by phone")],
                        default="",
                        editable=False,
                        max_length=6,
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("closed_reason", models.CharField(blank=True, editable=False, max_length=200)),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(condition=models.Q(("status", "open")), fields=["due_at"], name="critical_due"),
                    models.Index(fields=["status", "-created_at"], name="critical_status"),
                    models.Index(fields=["-created_at", "id"], name="critical_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_criticalresult_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["open", "acknowledged", "closed"])),
                        name="laboratory_critical_status",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("tier__in", [0, 1, 2])), name="laboratory_critical_tier"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status", "open"), ("due_at__isnull", True), _connector="OR"),
                        name="laboratory_critical_open_is_due",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("closed_at__isnull", False),
                                ("status", "closed"),
                                models.Q(("closed_reason", ""), _negated=True),
                            ),
                            models.Q(models.Q(("status", "closed"), _negated=True), ("closed_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="laboratory_critical_closed_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CriticalStep",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("noted", "Noted"),
                            ("paged", "Paged"),
                            ("unreachable", "nobody could be reached"),
                            ("escalated", "Escalated"),
                            ("called", "Called"),
                            ("acknowledged", "Acknowledged"),
                            ("corrected", "Corrected"),
                            ("closed", "Closed"),
                        ],
                        max_length=12,
                    ),
                ),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("told", models.CharField(blank=True, max_length=120)),
                ("read_back", models.CharField(blank=True, max_length=200)),
                ("note", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "ordering": ["at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "noted",
                                    "paged",
                                    "unreachable",
                                    "escalated",
                                    "called",
                                    "acknowledged",
                                    "corrected",
                                    "closed",
                                ],
                            )
                        ),
                        name="laboratory_criticalstep_kind_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FeedRhythm",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("shares", models.JSONField(default=list)),
                ("usual_gap", models.FloatField(null=True)),
                ("messages", models.PositiveIntegerField(default=0)),
                ("learned_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="labresult",
            name="flagged_critical",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="The laboratory says so of a value without bounds.",
            ),
        ),
        migrations.AddField(
            model_name="labtest",
            name="critical_high",
            field=models.DecimalField(
                blank=True, decimal_places=4, help_text="A value above this is critical.", max_digits=14, null=True
            ),
        ),
        migrations.AddField(
            model_name="labtest",
            name="critical_low",
            field=models.DecimalField(
                blank=True, decimal_places=4, help_text="A value below this is critical.", max_digits=14, null=True
            ),
        ),
        migrations.AddIndex(
            model_name="laborder",
            index=models.Index(
                condition=models.Q(("status__in", ["ordered", "specimen_collected", "in_progress"])),
                fields=["order_date"],
                name="laborder_awaited",
            ),
        ),
        migrations.AddConstraint(
            model_name="labtest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("critical_low__isnull", True),
                    ("critical_high__isnull", True),
                    ("critical_low__lt", models.F("critical_high")),
                    _connector="OR",
                ),
                name="laboratory_labtest_critical_in_order",
                violation_error_message="The lower critical bound is not below the upper one.",
            ),
        ),
        migrations.AddField(
            model_name="criticalpage",
            name="recipient",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="criticalresult",
            name="acknowledged_by",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="criticalresult",
            name="doctor",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="critical_results",
                to="doctors.doctor",
            ),
        ),
        migrations.AddField(
            model_name="criticalresult",
            name="patient",
            field=models.ForeignKey(
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="critical_results",
                to="patients.patient",
            ),
        ),
        migrations.AddField(
            model_name="criticalresult",
            name="result",
            field=models.OneToOneField(
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="critical_result",
                to="laboratory.labresult",
            ),
        ),
        migrations.AddField(
            model_name="criticalpage",
            name="critical_result",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="pages", to="laboratory.criticalresult"
            ),
        ),
        migrations.AddField(
            model_name="criticalstep",
            name="by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="criticalstep",
            name="critical_result",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="laboratory.criticalresult"
            ),
        ),
        migrations.AddField(
            model_name="criticalstep",
            name="recipient",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="feedrhythm",
            name="feed",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="rhythm", to="laboratory.labfeed"
            ),
        ),
        migrations.AddIndex(
            model_name="criticalresult",
            index=models.Index(fields=["patient", "-created_at"], name="critical_patient"),
        ),
        migrations.AddIndex(
            model_name="criticalresult",
            index=models.Index(fields=["doctor", "-created_at"], name="critical_doctor"),
        ),
        migrations.AddConstraint(
            model_name="criticalresult",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "acknowledged"), _negated=True),
                    models.Q(
                        ("acknowledged_at__isnull", False),
                        ("acknowledged_by__isnull", False),
                        models.Q(("read_back", ""), _negated=True),
                        models.Q(("how", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="laboratory_critical_acknowledged_how",
            ),
        ),
        migrations.AddIndex(
            model_name="criticalpage",
            index=models.Index(fields=["critical_result", "-created_at"], name="criticalpage_result"),
        ),
        migrations.AddIndex(
            model_name="criticalpage",
            index=models.Index(fields=["recipient", "-created_at"], name="criticalpage_recipient"),
        ),
        migrations.AddIndex(
            model_name="criticalstep",
            index=models.Index(fields=["critical_result", "at"], name="criticalstep_log"),
        ),
        migrations.RunSQL(STEPS_STAY, STEPS_CHANGE),
    ]
