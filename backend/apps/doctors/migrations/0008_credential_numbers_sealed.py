"""Seals the numbers of credentials that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all


def seal_numbers(apps, schema_editor):
    seal_all(apps.get_model("doctors", "DoctorCredential"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("doctors", "0007_sealed_credential_number")]

    operations = [migrations.RunPython(seal_numbers)]
