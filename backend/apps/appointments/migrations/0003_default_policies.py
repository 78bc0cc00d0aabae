"""Writes down the reminders that hold until the clinic changes them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("appointments", "0002_reminders_that_act")]

    operations = []
