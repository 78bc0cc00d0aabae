"""Adds what the operator watches: beats, tallies of work and rows, notices of alerts, retention, closed books."""

import backend.apps.core.bases
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_clia_number"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="heartbeat",
            name="caught_up_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="due_by",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="failed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="failures",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="pinged_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="heartbeat",
            name="task",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AlterField(
            model_name="heartbeat",
            name="last_run_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="AlertNotice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
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
                ("opened_from", models.DateTimeField(editable=False)),
                ("opened_until", models.DateTimeField(editable=False)),
                ("recipients", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("told", models.JSONField(blank=True, default=dict, editable=False)),
            ],
            options={
                "ordering": ["-opened_from"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="alert_notice_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")),
                        fields=["leased_until"],
                        name="alert_notice_running",
                    ),
                    models.Index(
                        condition=models.Q(("work_state__in", ("failed", "held"))),
                        fields=["work_state", "due_at"],
                        name="alert_notice_stuck",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="core_alertnotice_work_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("opened_from__lt", models.F("opened_until"))),
                        name="core_alertnotice_has_a_span",
                    ),
                ],
            },
            managers=[
                ("work", django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddField(
            model_name="alert",
            name="notice",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="alerts",
                to="core.alertnotice",
            ),
        ),
        migrations.AddField(
            model_name="alert",
            name="news_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="alert",
            name="told_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="alert",
            name="tellings",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.CreateModel(
            name="RetentionRule",
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
                ("data_class", models.CharField(max_length=40)),
                ("keep_days", models.PositiveIntegerField()),
                ("legal_floor_days", models.PositiveIntegerField(default=0)),
                (
                    "legal_source",
                    models.CharField(blank=True, help_text="Which law asks for it, as 45 CFR 164.316.", max_length=200),
                ),
                ("is_active", models.BooleanField(default=False)),
                ("reason", models.CharField(blank=True, db_default="", default="", editable=False, max_length=300)),
                (
                    "changed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("looked_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "ordering": ["data_class"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="core_retentionrule_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False)),
                        fields=("data_class",),
                        name="core_retentionrule_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("keep_days__gte", models.F("legal_floor_days"))),
                        name="core_retentionrule_not_below_the_floor",
                        violation_error_message="This is shorter than the law asks for.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RowTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("table_name", models.CharField(max_length=63)),
                ("hour", models.DateTimeField()),
                ("count", models.BigIntegerField()),
                ("marks", models.BigIntegerField()),
            ],
            options={
                "verbose_name_plural": "row tallies",
                "indexes": [models.Index(fields=["table_name", "hour"], name="row_tally_hour")],
            },
        ),
        migrations.CreateModel(
            name="WorkTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task", models.CharField(max_length=80)),
                ("outcome", models.CharField(max_length=20)),
                ("starts_at", models.DateTimeField()),
                ("count", models.PositiveBigIntegerField(default=0)),
                ("seconds", models.FloatField(default=0)),
                ("waited_s", models.FloatField(default=0)),
            ],
            options={
                "verbose_name_plural": "work tallies",
                "constraints": [
                    models.UniqueConstraint(fields=("starts_at", "task", "outcome"), name="core_worktally_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="ReconcileRun",
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
                ("part", models.CharField(editable=False, max_length=40)),
                ("since", models.DateTimeField(blank=True, editable=False, null=True)),
                ("until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("agree", models.BooleanField(editable=False, null=True)),
                ("books", models.JSONField(blank=True, default=dict, editable=False)),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "requested_by",
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
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="reconcile_run_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")),
                        fields=["leased_until"],
                        name="reconcile_run_running",
                    ),
                    models.Index(
                        condition=models.Q(("work_state__in", ("failed", "held"))),
                        fields=["work_state", "due_at"],
                        name="reconcile_run_stuck",
                    ),
                    models.Index(fields=["part", "-created_at"], name="reconcile_run_part"),
                    models.Index(fields=["-created_at", "id"], name="reconcile_run_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="core_reconcilerun_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="core_reconcilerun_work_state_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RetentionRun",
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
                ("data_class", models.CharField(editable=False, max_length=40)),
                ("is_dry", models.BooleanField(default=True, editable=False)),
                ("cutoff", models.DateTimeField(editable=False)),
                ("found", models.PositiveBigIntegerField(default=0, editable=False)),
                ("removed", models.PositiveBigIntegerField(default=0, editable=False)),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "by",
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
                    models.Index(fields=["data_class", "-created_at"], name="retention_run_class"),
                    models.Index(fields=["-created_at", "id"], name="retention_run_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="core_retentionrun_deleted_has_time",
                    )
                ],
            },
        ),
    ]
