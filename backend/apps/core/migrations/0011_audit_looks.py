"""Keeps of each look at the audit log where it began and ended, and of each place outside what it was told last."""

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models

CARRIED = """
UPDATE core_auditcheck SET began_at = ended_at, begun_with = "first", wrong = jsonb_array_length(findings),
    ended = NOT good OR verified_until IS NOT NULL;
UPDATE core_auditanchor a SET hash = s.hash FROM core_auditseal s WHERE s.n = a.n;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0010_sealed_tax_id"),
    ]

    operations = [
        migrations.AddField(
            model_name="auditanchor",
            name="archives",
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.AddField(
            model_name="auditanchor",
            name="hash",
            field=models.BinaryField(db_default=b"", default=bytes, max_length=32),
        ),
        migrations.AddField(
            model_name="auditcheck",
            name="began_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), default=django.utils.timezone.now, editable=False
            ),
        ),
        migrations.AddField(
            model_name="auditcheck",
            name="begun_with",
            field=models.BigIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="auditcheck",
            name="ended",
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.AddField(
            model_name="auditcheck",
            name="wrong",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.RunSQL(CARRIED, migrations.RunSQL.noop),
    ]
