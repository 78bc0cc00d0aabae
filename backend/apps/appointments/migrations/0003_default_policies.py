"""Writes down the reminders that hold until the clinic changes them, and which start of its visit each is about."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone

DEFAULTS = (  # days, hours, channel, order, wording, condition: what held then, whatever the code says later
    (7, 0, "email", 1, "reminder", "always"),
    (0, 72, "email", 1, "reminder", "always"),
    (0, 24, "sms", 1, "ask_to_confirm", "always"),
    (0, 24, "email", 2, "ask_to_confirm", "always"),
    (0, 2, "sms", 1, "soon", "unless_confirmed"),
    (0, 2, "email", 2, "soon", "unless_confirmed"),
)
UNREAD = "DROP INDEX IF EXISTS appointments_appointmentreminder_dedupe_key_1a083d76_like"  # nobody reads by a beginning
STARTS = """
    UPDATE appointments_appointmentreminder AS reminder SET visit_starts_at = visit.appointment_datetime
    FROM appointments_appointment AS visit
    WHERE visit.id = reminder.appointment_id AND visit.version = reminder.appointment_version"""


def write_defaults(apps: Any, schema_editor: Any) -> None:
    policies, now = apps.get_model("appointments", "ReminderPolicy").objects, timezone.now()
    if policies.exists():
        return
    names = ("offset_days", "offset_hours", "channel", "order", "wording", "condition")
    policies.bulk_create(
        [policies.model(created_at=now, updated_at=now, **dict(zip(names, row, strict=True))) for row in DEFAULTS]
    )


class Migration(migrations.Migration):
    dependencies = [("appointments", "0002_reminders_that_act")]

    operations = [
        migrations.AddField(
            model_name="appointmentreminder",
            name="visit_starts_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="appointmentreminder",
            name="appointment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="reminders",
                to="appointments.appointment",
            ),
        ),
        migrations.RunSQL(UNREAD, migrations.RunSQL.noop),
        migrations.RunSQL(STARTS, migrations.RunSQL.noop),
        migrations.RunPython(write_defaults, migrations.RunPython.noop),
    ]
