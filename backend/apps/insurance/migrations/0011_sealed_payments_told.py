"""Seals what a payer said of a claim, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedJSONField


def seal_told(apps, schema_editor):
    seal_all(apps.get_model("insurance", "RemittanceClaim"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("insurance", "0010_sealed_by_owner")]

    operations = [
        migrations.AlterField(
            model_name="remittanceclaim",
            name="content",
            field=SealedJSONField(default=dict),
        ),
        migrations.RunPython(seal_told),
    ]
