"""Gives numbers and mailboxes of messages, texts and reports columns that are sealed, and blind indexes to find them.

What providers report is sealed as a whole, and whose mailbox it is about stands in a column of its own.
"""

import django.core.validators
from django.db import migrations, models

import backend.apps.core.validators
from backend.apps.core.sealed import BlindIndex, SealedJSONField, SealedTextField


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0002_stuck_work"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="inboundtext", name="reply_number"),
        migrations.RemoveIndex(model_name="patientmessage", name="message_number"),
        migrations.AddField(
            model_name="inboundtext",
            name="from_number_index",
            field=BlindIndex(editable=False, normal="phone", null=True, of="from_number"),
        ),
        migrations.AddField(
            model_name="patientmessage",
            name="recipient_phone_index",
            field=BlindIndex(editable=False, normal="phone", null=True, of="recipient_phone"),
        ),
        migrations.AddField(
            model_name="providerevent",
            name="mailbox",
            field=SealedTextField(blank=True, db_default="", default="", editable=False, max_length=254),
        ),
        migrations.AddField(
            model_name="providerevent",
            name="mailbox_index",
            field=BlindIndex(editable=False, normal="email", null=True, of="mailbox"),
        ),
        migrations.AlterField(
            model_name="inboundtext",
            name="from_number",
            field=SealedTextField(editable=False, max_length=32),
        ),
        migrations.AlterField(
            model_name="patientmessage",
            name="recipient_email",
            field=SealedTextField(
                blank=True,
                editable=False,
                max_length=254,
                validators=[django.core.validators.EmailValidator()],
            ),
        ),
        migrations.AlterField(
            model_name="patientmessage",
            name="recipient_phone",
            field=SealedTextField(
                blank=True,
                editable=False,
                max_length=16,
                validators=[backend.apps.core.validators.validate_phone],
            ),
        ),
        migrations.AlterField(
            model_name="providerevent",
            name="payload",
            field=SealedJSONField(default=dict, editable=False),
        ),
        migrations.AddIndex(
            model_name="inboundtext",
            index=models.Index(fields=["from_number_index", "-received_at"], name="reply_number"),
        ),
        migrations.AddIndex(
            model_name="patientmessage",
            index=models.Index(
                condition=models.Q(("recipient_phone_index__isnull", False)),
                fields=["recipient_phone_index", "-sent_at"],
                name="message_number",
            ),
        ),
    ]
