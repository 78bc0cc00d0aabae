"""Adds the index by which the patients of one disclosure are found, and removed with it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("interop", "0003_row_tally"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="disclosedpatient",
            index=models.Index(fields=["disclosure"], name="disclosedpatient_of"),
        ),
    ]
