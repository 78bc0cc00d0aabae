"""Adds the index by which failed and held work is counted and listed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("interop", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="exportchunk",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="exportchunk_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="exportjob",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="exportjob_stuck",
            ),
        ),
    ]
