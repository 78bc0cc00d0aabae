"""Adds who is paged when a doctor does not answer."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("doctors", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="doctor",
            name="covering_doctor",
            field=models.ForeignKey(
                blank=True,
                help_text="Who is paged when this doctor does not answer.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="covers",
                to="doctors.doctor",
            ),
        ),
        migrations.AddConstraint(
            model_name="doctor",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("covering_doctor__isnull", True),
                    models.Q(("covering_doctor", models.F("id")), _negated=True),
                    _connector="OR",
                ),
                name="doctors_doctor_covered_by_another",
                violation_error_message="A doctor is covered by another one.",
            ),
        ),
    ]
