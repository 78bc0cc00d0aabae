"""Seals the practice's own number for taxes."""

import django.core.validators
from django.db import migrations

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedTextField


def seal_tax_ids(apps, schema_editor):
    seal_all(apps.get_model("core", "Clinic"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("core", "0009_audit_partitions")]

    operations = [
        migrations.AlterField(
            model_name="clinic",
            name="tax_id",
            field=SealedTextField(
                blank=True,
                max_length=10,
                validators=[django.core.validators.RegexValidator(r"^\d{2}-?\d{7}$", "Nine digits, as 12-3456789.")],
            ),
        ),
        migrations.RunPython(seal_tax_ids),
    ]
