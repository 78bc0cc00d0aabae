"""Adds replays of stored messages."""

import backend.apps.core.bases
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0005_critical"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="LabReplay",
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
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("finished", "Finished"),
                            ("cancelled", "Cancelled"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("dry_run", models.BooleanField(default=True, editable=False)),
                ("total", models.PositiveIntegerField(editable=False)),
                ("done", models.PositiveIntegerField(default=0, editable=False)),
                ("appears", models.PositiveIntegerField(default=0, editable=False)),
                ("changes", models.PositiveIntegerField(default=0, editable=False)),
                ("disappears", models.PositiveIntegerField(default=0, editable=False)),
                ("finished_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "of_dry_run",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="real_runs",
                        to="laboratory.labreplay",
                    ),
                ),
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
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="labreplay_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")), fields=["leased_until"], name="labreplay_running"
                    ),
                    models.Index(fields=["-created_at", "id"], name="labreplay_newest"),
                    models.Index(fields=["status", "-created_at"], name="labreplay_status"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labreplay_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["pending", "finished", "cancelled", "failed"])),
                        name="laboratory_labreplay_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="laboratory_labreplay_work_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("done__lte", models.F("total"))), name="laboratory_labreplay_done_of_total"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("of_dry_run__isnull", True), ("dry_run", False), _connector="OR"),
                        name="laboratory_labreplay_real_after_dry",
                    ),
                    models.UniqueConstraint(fields=("of_dry_run",), name="laboratory_labreplay_applied_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReplayedMessage",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                ("charts", models.JSONField(null=True)),
                ("group", models.PositiveIntegerField(null=True)),
                ("status", models.CharField(blank=True, max_length=9)),
                ("status_reason", models.CharField(blank=True, max_length=300)),
                ("difference", models.JSONField(default=list)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replays",
                        to="laboratory.inboundmessage",
                    ),
                ),
                (
                    "replay",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="messages", to="laboratory.labreplay"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["replay", "position"], name="replayed_order"),
                    models.Index(
                        condition=models.Q(("done_at__isnull", True)), fields=["replay", "group"], name="replayed_group"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("replay", "message"), name="laboratory_replayedmessage_once")
                ],
            },
        ),
    ]
