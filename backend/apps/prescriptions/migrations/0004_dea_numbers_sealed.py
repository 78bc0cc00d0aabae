"""Seals the DEA numbers that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all


def seal_numbers(apps, schema_editor):
    seal_all(apps.get_model("prescriptions", "Prescription"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prescriptions", "0003_sealed_dea_number")]

    operations = [migrations.RunPython(seal_numbers)]
