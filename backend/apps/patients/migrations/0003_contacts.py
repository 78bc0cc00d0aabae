"""Adds the ledger of consents, and what is known of each number and mailbox."""

import backend.apps.core.bases
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0002_merges"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ContactPoint",
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
                    "channel",
                    models.CharField(
                        choices=[("sms", "text message"), ("email", "e-mail")], editable=False, max_length=5
                    ),
                ),
                ("address", models.CharField(editable=False, max_length=254)),
                ("opted_out_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "opted_out_method",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("staff", "told to staff"),
                            ("patient", "changed by the patient"),
                            ("text", "text message from the number"),
                            ("unsubscribe", "unsubscribe link or button"),
                            ("provider", "reported by the provider"),
                            ("import", "taken over from another system"),
                            ("merge", "two records became one"),
                        ],
                        editable=False,
                        max_length=11,
                    ),
                ),
                ("opted_out_evidence", models.CharField(blank=True, editable=False, max_length=80)),
                ("unusable_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("unusable_code", models.CharField(blank=True, editable=False, max_length=40)),
            ],
            options={
                "ordering": ["-updated_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["address"], name="contact_point_address"),
                    models.Index(fields=["-updated_at", "id"], name="contact_point_changed"),
                    models.Index(
                        condition=models.Q(("opted_out_at__isnull", False)),
                        fields=["-opted_out_at"],
                        name="contact_point_opted_out",
                    ),
                    models.Index(
                        condition=models.Q(("unusable_at__isnull", False)),
                        fields=["-unusable_at"],
                        name="contact_point_unusable",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="patients_contactpoint_deleted_has_time",
                    ),
                    models.UniqueConstraint(fields=("channel", "address"), name="patients_contactpoint_once"),
                    models.CheckConstraint(
                        condition=models.Q(("channel__in", ["sms", "email"])), name="patients_contactpoint_channel"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ContactConsent",
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
                ("channel", models.CharField(choices=[("sms", "text message"), ("email", "e-mail")], max_length=5)),
                ("given", models.BooleanField()),
                (
                    "method",
                    models.CharField(
                        choices=[
                            ("staff", "told to staff"),
                            ("patient", "changed by the patient"),
                            ("text", "text message from the number"),
                            ("unsubscribe", "unsubscribe link or button"),
                            ("provider", "reported by the provider"),
                            ("import", "taken over from another system"),
                            ("merge", "two records became one"),
                        ],
                        max_length=11,
                    ),
                ),
                ("address", models.CharField(blank=True, max_length=254)),
                ("evidence", models.CharField(blank=True, max_length=80)),
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
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="consents", to="patients.patient"
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["patient", "channel", "-created_at"], name="consent_patient"),
                    models.Index(fields=["method", "-created_at"], name="consent_method"),
                    models.Index(fields=["-created_at", "id"], name="consent_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="patients_contactconsent_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("channel__in", ["sms", "email"])), name="patients_consent_channel_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("method__in", ["staff", "patient", "text", "unsubscribe", "provider", "import", "merge"])
                        ),
                        name="patients_consent_method_known",
                    ),
                ],
            },
        ),
    ]
