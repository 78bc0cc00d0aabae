"""Adds what the door keeps."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0006_replays")]
    operations = []
