"""Finds the results a newly mapped second code names without reading all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0009_joined_histories"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="labresult",
            index=models.Index(
                condition=models.Q(("lab_test__isnull", True), models.Q(("other_code_as_sent", ""), _negated=True)),
                fields=["other_code_as_sent"],
                name="labresult_other_code",
            ),
        ),
    ]
