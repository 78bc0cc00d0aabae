"""Holds again that no two doctors have one DEA number, by its blind index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("doctors", "0005_dea_numbers_sealed")]

    operations = [
        migrations.AddConstraint(
            model_name="doctor",
            constraint=models.UniqueConstraint(
                fields=("dea_number_index",),
                name="doctors_doctor_dea_once",
                violation_error_message="Another doctor has this DEA number.",
            ),
        ),
    ]
