"""Adds the orders that go out to laboratories."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0003_filing")]
    operations = []
