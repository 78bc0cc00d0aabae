"""Keeps up to where the looks of the beat have read each file of anchors, so that an hourly one reads what is new."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0011_audit_looks"),
    ]

    operations = [
        migrations.AddField(
            model_name="auditanchor",
            name="read_n",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="auditanchor",
            name="read_to",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
