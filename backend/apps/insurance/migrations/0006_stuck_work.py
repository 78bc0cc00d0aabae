"""Adds the index by which failed and held work is counted and listed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("insurance", "0005_naic_code"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="inboundfile",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="inboundfile_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="interchange",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="interchange_stuck",
            ),
        ),
    ]
