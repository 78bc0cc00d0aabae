"""Seals the numbers and mailboxes reminders went to, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all


def seal_recipients(apps, schema_editor):
    seal_all(apps.get_model("appointments", "AppointmentReminder"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("appointments", "0008_sealed_recipients")]

    operations = [migrations.RunPython(seal_recipients)]
