"""Adds the orders that go out to laboratories."""

import backend.apps.core.bases
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


# What went out stays as it went; only a message of which nothing has left yet may still be written again.
SENT_STAYS = """
CREATE FUNCTION laboratory_sent_orders_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A message that was sent is never rewritten.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER laboratory_sent_orders_stay BEFORE UPDATE OF raw, control_id, lab_order_id, feed_id
    ON laboratory_labordermessage FOR EACH ROW
    WHEN (OLD.sent_at IS NOT NULL AND (OLD.raw, OLD.control_id, OLD.lab_order_id, OLD.feed_id)
          IS DISTINCT FROM (NEW.raw, NEW.control_id, NEW.lab_order_id, NEW.feed_id))
    EXECUTE FUNCTION laboratory_sent_orders_stay();
"""
SENT_CHANGES = """
DROP TRIGGER laboratory_sent_orders_stay ON laboratory_labordermessage;
DROP FUNCTION laboratory_sent_orders_stay();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0003_filing"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="laborder",
            name="feed",
            field=models.ForeignKey(
                blank=True,
                help_text="The laboratory the order is sent to; empty: it goes there on paper.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lab_orders",
                to="laboratory.labfeed",
            ),
        ),
        migrations.CreateModel(
            name="LabOrderMessage",
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
                ("revision", models.PositiveSmallIntegerField(editable=False)),
                (
                    "control",
                    models.CharField(
                        choices=[("NW", "new order"), ("CA", "cancel"), ("XO", "change")], editable=False, max_length=2
                    ),
                ),
                ("control_id", models.CharField(editable=False, max_length=40, unique=True)),
                ("raw", models.BinaryField(db_default=b"", default=b"")),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("ack", models.BinaryField(db_default=b"", default=b"")),
                ("ack_code", models.CharField(blank=True, editable=False, max_length=2)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "not sent yet"),
                            ("sent", "received, no answer yet"),
                            ("accepted", "Accepted"),
                            ("rejected", "Rejected"),
                            ("unable", "the laboratory cannot do it"),
                            ("cancelled_by_lab", "cancelled by the laboratory"),
                            ("withdrawn", "withdrawn before it left"),
                            ("uncertain", "nobody knows whether it arrived"),
                            ("failed", "could not be sent"),
                        ],
                        default="waiting",
                        editable=False,
                        max_length=16,
                    ),
                ),
                ("status_reason", models.CharField(blank=True, editable=False, max_length=300)),
                ("answered_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("answer_in_detail", models.BooleanField(default=False, editable=False)),
                ("settled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("told_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "answer",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="laboratory.inboundmessage",
                    ),
                ),
                (
                    "feed",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="order_messages",
                        to="laboratory.labfeed",
                    ),
                ),
                (
                    "lab_order",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="messages",
                        to="laboratory.laborder",
                    ),
                ),
                (
                    "settled_by",
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
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="ordermessage_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")),
                        fields=["leased_until"],
                        name="ordermessage_running",
                    ),
                    models.Index(fields=["-created_at", "id"], name="ordermessage_newest"),
                    models.Index(fields=["status", "-created_at"], name="ordermessage_status"),
                    models.Index(fields=["feed", "-created_at"], name="ordermessage_feed"),
                    models.Index(fields=["work_state", "-created_at"], name="ordermessage_work_state"),
                    models.Index(
                        condition=models.Q(
                            ("status__in", ("rejected", "unable", "cancelled_by_lab", "uncertain", "failed")),
                            ("told_at__isnull", True),
                        ),
                        fields=["updated_at"],
                        name="ordermessage_untold",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labordermessage_deleted_has_time",
                    ),
                    models.UniqueConstraint(fields=("lab_order", "revision"), name="laboratory_labordermessage_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    "waiting",
                                    "sent",
                                    "accepted",
                                    "rejected",
                                    "unable",
                                    "cancelled_by_lab",
                                    "withdrawn",
                                    "uncertain",
                                    "failed",
                                ],
                            )
                        ),
                        name="laboratory_labordermessage_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("control__in", ["NW", "CA", "XO"])),
                        name="laboratory_labordermessage_control_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="laboratory_labordermessage_work_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sent_at__isnull", True), models.Q(("raw", b""), _negated=True), _connector="OR"
                        ),
                        name="laboratory_labordermessage_sent_is_kept",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SENT_STAYS, SENT_CHANGES),
    ]
