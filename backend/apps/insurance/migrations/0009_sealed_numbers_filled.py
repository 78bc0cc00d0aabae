"""Seals the numbers of members and policies that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.indexing import fill
from backend.apps.core.resealing import seal_all


def seal_numbers(apps, schema_editor):
    fill(apps.get_model("insurance", "PatientInsurance"))
    for name in ("PatientInsurance", "RemittanceClaim"):
        seal_all(apps.get_model("insurance", name))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("insurance", "0008_sealed_numbers")]

    operations = [migrations.RunPython(seal_numbers)]
