"""Holds again that a message is as long as it says, now that it is sealed."""

import django.db.models.functions
import django.db.models.lookups
from django.db import migrations, models

from backend.apps.core.keyring import OVERHEAD


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0016_messages_sealed")]

    operations = [
        migrations.AddConstraint(
            model_name="inboundmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(size_bytes=0, raw=b"")
                | models.Q(
                    django.db.models.lookups.Exact(
                        models.F("size_bytes") + OVERHEAD, django.db.models.functions.Length("raw")
                    )
                ),
                name="laboratory_inboundmessage_size_true",
            ),
        ),
    ]
