"""Seals the numbers of credentials that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all


def seal_numbers(apps, schema_editor):
    seal_all(apps.get_model("employees", "EmployeeCredential"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("employees", "0004_sealed_credential_number")]

    operations = [migrations.RunPython(seal_numbers)]
