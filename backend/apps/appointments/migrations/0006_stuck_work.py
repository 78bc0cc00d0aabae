"""Adds the index by which failed and held work is counted and listed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0005_replan_requests"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="reminder_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="freedslot",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="freed_slot_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="replanrequest",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="replan_request_stuck",
            ),
        ),
    ]
