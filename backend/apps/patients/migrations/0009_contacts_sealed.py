"""Seals the numbers and mailboxes of patients that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all


def seal_contacts(apps, schema_editor):
    for name in ("Patient", "ContactPoint", "ContactConsent"):
        seal_all(apps.get_model("patients", name))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("patients", "0008_sealed_contacts")]

    operations = [migrations.RunPython(seal_contacts)]
