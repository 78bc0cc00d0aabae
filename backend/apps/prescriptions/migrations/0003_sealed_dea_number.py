"""Lets the DEA number a controlled substance was prescribed under be sealed."""

from django.db import migrations

from backend.apps.core.sealed import SealedTextField


class Migration(migrations.Migration):
    dependencies = [("prescriptions", "0002_rxnorm")]

    operations = [
        migrations.RemoveConstraint(model_name="prescription", name="prescriptions_prescription_dea_when_controlled"),
        migrations.AlterField(
            model_name="prescription",
            name="dea_number_used",
            field=SealedTextField(blank=True, editable=False, max_length=9),
        ),
    ]
