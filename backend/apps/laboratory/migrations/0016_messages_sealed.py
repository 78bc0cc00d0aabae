"""Seals the messages that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all


def seal_messages(apps, schema_editor):
    for model in ("InboundMessage", "LabOrderMessage"):
        seal_all(apps.get_model("laboratory", model))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("laboratory", "0015_sealed_messages")]

    operations = [migrations.RunPython(seal_messages)]
