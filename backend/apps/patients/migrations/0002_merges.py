"""Adds where a merged record went, and when each part of a patient's demographics was last said."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("patients", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="patient",
            name="demographics_as_of",
            field=models.JSONField(default=dict, editable=False),
        ),
        migrations.AddField(
            model_name="patient",
            name="merged_into",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="The record of the same person that everything of this one was moved to.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="merged_from",
                to="patients.patient",
            ),
        ),
        migrations.AddConstraint(
            model_name="patient",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("merged_into__isnull", True),
                    models.Q(("is_deleted", True), models.Q(("merged_into", models.F("id")), _negated=True)),
                    _connector="OR",
                ),
                name="patients_patient_merged_is_gone",
            ),
        ),
    ]
