"""Sums times exactly, so that folding tallies moves no sum, and tells of a look at old rows by their tables.

A rule keeps a century at most: more reaches back before the calendar begins.
"""

import django.core.validators
from django.db import migrations, models

CENTURY = 36_525
SECONDS = {"decimal_places": 6, "default": 0, "max_digits": 24}
AT_MOST = [django.core.validators.MaxValueValidator(CENTURY)]


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0005_operations"),
    ]

    operations = [
        migrations.AddField(
            model_name="retentionrun",
            name="found_in",
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AlterField(
            model_name="retentionrule",
            name="keep_days",
            field=models.PositiveIntegerField(validators=AT_MOST),
        ),
        migrations.AlterField(
            model_name="retentionrule",
            name="legal_floor_days",
            field=models.PositiveIntegerField(default=0, validators=AT_MOST),
        ),
        migrations.AlterField(model_name="worktally", name="seconds", field=models.DecimalField(**SECONDS)),
        migrations.AlterField(model_name="worktally", name="waited_s", field=models.DecimalField(**SECONDS)),
        migrations.AddConstraint(
            model_name="retentionrule",
            constraint=models.CheckConstraint(
                condition=models.Q(keep_days__lte=CENTURY),
                name="core_retentionrule_a_century_at_most",
                violation_error_message="Keep the data for a hundred years at most.",
            ),
        ),
    ]
