"""Seals the DEA number of doctors; that no two have the same is kept by its blind index."""

from django.db import migrations, models

import backend.apps.doctors.models
from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import BlindIndex, SealedTextField


def seal_numbers(apps, schema_editor):
    seal_all(apps.get_model("doctors", "Doctor"))


class Migration(migrations.Migration):
    atomic = False

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
        migrations.RunPython(seal_numbers, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="doctor",
            constraint=models.UniqueConstraint(
                fields=("dea_number_index",),
                name="doctors_doctor_dea_once",
                violation_error_message="Another doctor has this DEA number.",
            ),
        ),
    ]
