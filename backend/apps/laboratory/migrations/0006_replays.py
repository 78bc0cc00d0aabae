"""Adds replays of stored messages."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0005_critical")]
    operations = []
