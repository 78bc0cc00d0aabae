"""Seals why a patient came, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedTextField


def seal_complaints(apps, schema_editor):
    seal_all(apps.get_model("clinical_notes", "ClinicalNote"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("clinical_notes", "0004_sealed_by_owner")]

    operations = [
        migrations.AlterField(
            model_name="clinicalnote",
            name="chief_complaint",
            field=SealedTextField(blank=True, max_length=500),
        ),
        migrations.RunPython(seal_complaints),
    ]
