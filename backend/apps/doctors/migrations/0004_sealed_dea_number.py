"""Lets the DEA number of doctors be sealed, and gives it a blind index to be found by."""

from django.db import migrations

import backend.apps.doctors.models
from backend.apps.core.sealed import BlindIndex, SealedTextField


class Migration(migrations.Migration):
    dependencies = [
        ("doctors", "0003_credential_review"),
        ("credentials", "0003_taken_over"),  # reads the number as plain text
    ]

    operations = [
        migrations.RemoveConstraint(model_name="doctor", name="doctors_doctor_dea_once"),
        migrations.RemoveConstraint(model_name="doctor", name="doctors_doctor_dea_form"),
        migrations.AddField(model_name="doctor", name="dea_number_index", field=BlindIndex(of="dea_number")),
        migrations.AlterField(
            model_name="doctor",
            name="dea_number",
            field=SealedTextField(
                "DEA number", blank=True, max_length=9, validators=[backend.apps.doctors.models.validate_dea]
            ),
        ),
    ]
