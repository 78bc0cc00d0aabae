"""Adds feeds, and what a message keeps of its way."""

import backend.apps.core.bases
import backend.apps.core.models
import backend.apps.laboratory.models.feeds
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0001_initial"),
        ("patients", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="inboundmessage",
            name="ack_sent",
            field=models.BinaryField(db_default=b"", default=b""),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="application_ack",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=2),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="application_ack_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="assigned_patient",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="Whose it is, as a person said from the worklist.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="patients.patient",
            ),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="filed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="findings",
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="settled_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="settled_by",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.CreateModel(
            name="LabFeed",
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
                ("name", models.CharField(max_length=120, unique=True)),
                ("is_active", models.BooleanField(default=True)),
                ("sending_application", models.CharField(blank=True, max_length=250)),
                ("sending_facility", models.CharField(blank=True, max_length=250)),
                (
                    "versions",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Empty: every version.",
                        validators=[backend.apps.laboratory.models.feeds.validate_versions],
                    ),
                ),
                (
                    "processing_ids",
                    models.CharField(default="P", help_text="MSH-11 that is taken: P, T and D.", max_length=3),
                ),
                (
                    "charset",
                    models.CharField(blank=True, help_text="Where MSH-18 is empty; as ISO 8859/1.", max_length=40),
                ),
                (
                    "time_zone",
                    models.CharField(
                        blank=True,
                        help_text="Where a time has no offset.",
                        max_length=64,
                        validators=[backend.apps.core.models.validate_time_zone],
                    ),
                ),
                (
                    "assigning_authority",
                    models.CharField(blank=True, help_text="PID-3.4 of our record numbers.", max_length=200),
                ),
                (
                    "match_policy",
                    models.CharField(
                        choices=[
                            ("number", "record number that fits name and date of birth"),
                            ("authority", "record number of our assigning authority that fits name and date of birth"),
                            ("worklist", "a person decides about every message"),
                        ],
                        default="number",
                        max_length=9,
                    ),
                ),
                (
                    "ack_mode",
                    models.CharField(
                        choices=[
                            ("as_asked", "as the sender asks in MSH-15 and MSH-16"),
                            ("original", "AA, AE or AR once it is stored"),
                            ("deferred", "AA, AE or AR once it is filed"),
                            ("enhanced", "CA, CE or CR once it is stored, then AA, AE or AR once it is filed"),
                        ],
                        default="as_asked",
                        max_length=8,
                    ),
                ),
                (
                    "adt_policy",
                    models.CharField(
                        choices=[
                            ("off", "refuse"),
                            ("update", "update demographics"),
                            ("merge", "update demographics and merge records"),
                        ],
                        default="off",
                        max_length=6,
                    ),
                ),
                (
                    "takes_unknown_types",
                    models.BooleanField(
                        default=False, help_text="Store and acknowledge messages of types that are not used here."
                    ),
                ),
                (
                    "allowed_networks",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Empty: any address.",
                        validators=[backend.apps.laboratory.models.feeds.validate_networks],
                    ),
                ),
                (
                    "allowed_certificates",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Empty: none is asked for.",
                        validators=[backend.apps.laboratory.models.feeds.validate_fingerprints],
                    ),
                ),
                (
                    "silence_minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Empty: learned from its own rhythm.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(5)],
                    ),
                ),
                (
                    "order_message",
                    models.CharField(
                        blank=True,
                        choices=[("", "orders are not sent"), ("OML^O21", "Oml"), ("ORM^O01", "Orm")],
                        default="",
                        max_length=7,
                    ),
                ),
                ("order_version", models.CharField(default="2.5.1", max_length=5)),
                ("order_host", models.CharField(blank=True, max_length=253)),
                (
                    "order_port",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(65535),
                        ],
                    ),
                ),
                ("order_tls", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["name"],
                "abstract": False,
                "indexes": [models.Index(fields=["-created_at", "id"], name="labfeed_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labfeed_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_active", True), ("is_deleted", False)),
                        fields=("sending_application", "sending_facility"),
                        name="laboratory_labfeed_one_sender",
                        violation_error_message="Another active feed is of this sender.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="laboratory_labfeed_named"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("processing_ids__regex", "^[PTD]{1,3}$")), name="laboratory_labfeed_ids"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("order_message", ""),
                            models.Q(models.Q(("order_host", ""), _negated=True), ("order_port__isnull", False)),
                            _connector="OR",
                        ),
                        name="laboratory_labfeed_order_address",
                        violation_error_message="Orders that are sent need a host and a port.",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="inboundmessage",
            name="feed",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="inbound_messages",
                to="laboratory.labfeed",
            ),
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(fields=["feed", "-received_at"], name="inbound_feed"),
        ),
    ]
