"""Adds the index by which failed and held work is counted and listed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0013_dropped"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="criticalpage",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="criticalpage_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="inbound_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="labordermessage",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="ordermessage_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="labreplay",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="labreplay_stuck",
            ),
        ),
    ]
