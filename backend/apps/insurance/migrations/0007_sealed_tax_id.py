"""Seals the number for taxes under a key of its own, no longer under the secret key."""

import django.core.validators
from django.db import migrations

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedTextField
from backend.apps.core.seals import unseal


def seal_tax_ids(apps, schema_editor):
    seal_all(apps.get_model("insurance", "BillingEntity"), unseal)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("insurance", "0006_stuck_work")]

    operations = [
        migrations.AlterField(
            model_name="billingentity",
            name="tax_id",
            field=SealedTextField(
                max_length=9, validators=[django.core.validators.RegexValidator("^[0-9]{9}$", "Nine digits.")]
            ),
        ),
        migrations.RunPython(seal_tax_ids, migrations.RunPython.noop),
    ]
