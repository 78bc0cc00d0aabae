"""Takes diagnoses whose second place is a letter, as ICD-10-CM has them since its edition of 2026."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0010_second_codes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="laborder",
            name="diagnosis_code",
            field=models.CharField(
                blank=True,
                max_length=8,
                validators=[
                    django.core.validators.RegexValidator(
                        "^([A-Z][0-9A-Z]{2}(\\.[0-9A-Z]{1,4})?)?$", "Write an ICD-10-CM code, as E11.9."
                    )
                ],
            ),
        ),
        migrations.RemoveConstraint(
            model_name="laborder",
            name="laboratory_laborder_diagnosis_form",
        ),
        migrations.AddConstraint(
            model_name="laborder",
            constraint=models.CheckConstraint(
                condition=models.Q(("diagnosis_code__regex", "^([A-Z][0-9A-Z]{2}(\\.[0-9A-Z]{1,4})?)?$")),
                name="laboratory_laborder_diagnosis_form",
            ),
        ),
    ]
