"""Adds the index by which failed and held work is counted and listed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="patientmessage",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="message_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="provider_event_stuck",
            ),
        ),
    ]
