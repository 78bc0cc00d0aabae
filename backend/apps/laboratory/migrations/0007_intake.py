"""Leaves at the door only the indexes somebody looks things up by: each costs every message time."""

import django.db.models.deletion
import django.db.models.functions.text
import django.db.models.lookups
from django.conf import settings
from django.db import migrations, models

# The index for LIKE that Django makes beside every unique text; nobody looks for a part of a key.
NO_LIKE = """
DO $$ DECLARE found text; BEGIN
    FOR found IN SELECT indexname FROM pg_indexes
        WHERE tablename = 'laboratory_inboundmessage' AND indexname LIKE '%dedupe\\_key%\\_like'
    LOOP EXECUTE format('DROP INDEX %I', found); END LOOP;
END $$
"""

# PostgreSQL's own compression costs a message of 6 kB 25 us, a quarter of all it takes to store it.
QUICK = """
DO $$ BEGIN
    ALTER TABLE laboratory_inboundmessage ALTER COLUMN raw SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    ALTER TABLE laboratory_inboundmessage ALTER COLUMN raw SET STORAGE EXTERNAL;
END $$
"""


def to(model, related_name, **over):
    return models.ForeignKey(
        blank=True,
        db_index=False,
        editable=False,
        null=True,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to=model,
        **over,
    )


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0006_replays"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.RunSQL(NO_LIKE, migrations.RunSQL.noop),
        migrations.RunSQL(QUICK, migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="inboundmessage", name="laboratory_inboundmessage_hash_form"),
        migrations.AddConstraint(
            model_name="inboundmessage",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.Exact(django.db.models.functions.text.Length("sha256"), 64),
                name="laboratory_inboundmessage_hash_form",
            ),
        ),
        migrations.RemoveConstraint(model_name="inboundmessage", name="laboratory_inboundmessage_once"),
        migrations.RemoveIndex(model_name="inboundmessage", name="inbound_status"),
        migrations.RemoveIndex(model_name="inboundmessage", name="inbound_work_state"),
        migrations.AlterField(
            model_name="inboundmessage",
            name="assigned_patient",
            field=to("patients.patient", "+", help_text="Whose it is, as a person said from the worklist."),
        ),
        migrations.AlterField(
            model_name="inboundmessage",
            name="feed",
            field=to("laboratory.labfeed", "inbound_messages", db_constraint=False),
        ),
        migrations.AlterField(
            model_name="inboundmessage", name="patient", field=to("patients.patient", "inbound_messages")
        ),
        migrations.AlterField(model_name="inboundmessage", name="settled_by", field=to(settings.AUTH_USER_MODEL, "+")),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("status", "filed"), _negated=True),
                fields=["status", "-received_at"],
                name="inbound_status",
            ),
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("work_state__in", ["failed", "held"])),
                fields=["work_state", "-received_at"],
                name="inbound_work_state",
            ),
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("assigned_patient__isnull", False)),
                fields=["assigned_patient"],
                name="inbound_assigned",
            ),
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("settled_by__isnull", False)), fields=["settled_by"], name="inbound_settled"
            ),
        ),
    ]
