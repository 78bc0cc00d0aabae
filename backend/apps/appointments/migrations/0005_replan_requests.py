"""Adds visits to be planned once nobody holds them."""

import backend.apps.core.bases
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0004_waitlist_and_recalls"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReplanRequest",
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
                (
                    "appointment",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="appointments.appointment",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="replan_request_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")),
                        fields=["leased_until"],
                        name="replan_request_running",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="appointments_replan_work_state_known",
                    )
                ],
            },
            managers=[
                ("work", django.db.models.manager.Manager()),
            ],
        ),
    ]
