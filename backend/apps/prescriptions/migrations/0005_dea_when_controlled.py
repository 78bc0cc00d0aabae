"""Holds again that a controlled substance has a DEA number, now that it is sealed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("prescriptions", "0004_dea_numbers_sealed")]

    operations = [
        migrations.AddConstraint(
            model_name="prescription",
            constraint=models.CheckConstraint(
                condition=models.Q(("schedule", ""), models.Q(("dea_number_used", ""), _negated=True), _connector="OR"),
                name="prescriptions_prescription_dea_when_controlled",
                violation_error_message="A controlled substance needs the doctor's DEA number.",
            ),
        ),
    ]
