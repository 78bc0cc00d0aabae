"""Seals the DEA number a controlled substance was prescribed under."""

from django.db import migrations, models

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedTextField

NAME = "prescriptions_prescription_dea_when_controlled"


def seal_numbers(apps, schema_editor):
    seal_all(apps.get_model("prescriptions", "Prescription"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prescriptions", "0002_rxnorm")]

    operations = [
        migrations.RemoveConstraint(model_name="prescription", name=NAME),
        migrations.AlterField(
            model_name="prescription",
            name="dea_number_used",
            field=SealedTextField(blank=True, editable=False, max_length=9),
        ),
        migrations.RunPython(seal_numbers, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="prescription",
            constraint=models.CheckConstraint(
                condition=models.Q(("schedule", ""), models.Q(("dea_number_used", ""), _negated=True), _connector="OR"),
                name=NAME,
                violation_error_message="A controlled substance needs the doctor's DEA number.",
            ),
        ),
    ]
