"""Adds alerts: what an operator has to look at, one row per cause."""

import backend.apps.core.bases
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit_insert_only"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Alert",
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
                ("cause", models.CharField(editable=False, max_length=160)),
                (
                    "kind",
                    models.CharField(
                        editable=False,
                        max_length=60,
                        validators=[django.core.validators.RegexValidator("^[a-z]+(_[a-z]+)+$")],
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("info", "Info"), ("warning", "Warning"), ("critical", "Critical")],
                        default="warning",
                        editable=False,
                        max_length=8,
                    ),
                ),
                ("subject_type", models.CharField(blank=True, editable=False, max_length=60)),
                ("subject_id", models.CharField(blank=True, editable=False, max_length=64)),
                ("sentence", models.CharField(editable=False, max_length=300)),
                ("opened_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("last_seen_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("times", models.PositiveIntegerField(default=1, editable=False)),
                ("acknowledged_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("resolved_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "acknowledged_by",
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
                    "resolved_by",
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
                "ordering": ["-opened_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["cause", "-resolved_at"], name="alert_cause"),
                    models.Index(fields=["kind", "-opened_at"], name="alert_kind"),
                    models.Index(fields=["severity", "-opened_at"], name="alert_severity"),
                    models.Index(
                        condition=models.Q(("subject_id", ""), _negated=True),
                        fields=["subject_id"],
                        name="alert_subject",
                    ),
                    models.Index(fields=["-opened_at", "id"], name="alert_newest"),
                    models.Index(fields=["resolved_at", "-opened_at"], name="alert_resolved"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="core_alert_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at__isnull", True)), fields=("cause",), name="core_alert_one_open"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["info", "warning", "critical"])),
                        name="core_alert_severity_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sentence", ""), _negated=True), name="core_alert_says_something"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("acknowledged_by__isnull", True), ("acknowledged_at__isnull", False), _connector="OR"
                        ),
                        name="core_alert_acknowledged_when",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("resolved_by__isnull", True), ("resolved_at__isnull", False), _connector="OR"
                        ),
                        name="core_alert_resolved_when",
                    ),
                ],
            },
        ),
    ]
