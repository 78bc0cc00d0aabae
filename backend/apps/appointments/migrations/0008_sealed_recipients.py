"""Gives the numbers and mailboxes reminders went to columns that are sealed, and a blind index to find a number by."""

import django.core.validators
from django.db import migrations, models

import backend.apps.core.validators
from backend.apps.core.sealed import BlindIndex, SealedTextField


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0007_lapsed_offers"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="appointmentreminder", name="reminder_number"),
        migrations.AddField(
            model_name="appointmentreminder",
            name="recipient_phone_index",
            field=BlindIndex(editable=False, normal="phone", null=True, of="recipient_phone"),
        ),
        migrations.AlterField(
            model_name="appointmentreminder",
            name="recipient_email",
            field=SealedTextField(
                blank=True,
                editable=False,
                max_length=254,
                validators=[django.core.validators.EmailValidator()],
            ),
        ),
        migrations.AlterField(
            model_name="appointmentreminder",
            name="recipient_phone",
            field=SealedTextField(
                blank=True,
                editable=False,
                max_length=16,
                validators=[backend.apps.core.validators.validate_phone],
            ),
        ),
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("recipient_phone_index__isnull", False)),
                fields=["recipient_phone_index", "-sent_at"],
                name="reminder_number",
            ),
        ),
    ]
