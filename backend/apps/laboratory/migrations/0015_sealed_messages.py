"""Seals messages as they came and as they went; they stay as they are, and only sealing them anew may touch them."""

import django.db.models.functions
import django.db.models.lookups
from django.db import migrations, models

from backend.apps.core.keyring import OVERHEAD
from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedBytesField

STAY = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {anew}
    RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
STAYS = {
    "laboratory_messages_stay": ("A received message is never rewritten.", "ARRAY['raw', 'ack_sent']"),
    "laboratory_sent_orders_stay": ("A message that was sent is never rewritten.", "ARRAY['raw', 'ack']"),
}
# What is sealed does not get smaller.
AS_THEY_ARE = """
ALTER TABLE laboratory_inboundmessage ALTER raw SET STORAGE EXTERNAL, ALTER ack_sent SET STORAGE EXTERNAL;
ALTER TABLE laboratory_labordermessage ALTER raw SET STORAGE EXTERNAL, ALTER ack SET STORAGE EXTERNAL;
"""
SIZE = "laboratory_inboundmessage_size_true"


def anew(columns):
    return f"""IF current_setting('carerelay.resealing', true) = 'on'
       AND to_jsonb(NEW) - {columns} = to_jsonb(OLD) - {columns} THEN RETURN NEW; END IF;"""


def seal_messages(apps, schema_editor):
    for model in ("InboundMessage", "LabOrderMessage"):
        seal_all(apps.get_model("laboratory", model))


def sealed(**options):
    return SealedBytesField(default=b"", db_default=b"", editable=False, **options)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("laboratory", "0014_stuck_work")]

    operations = [
        *(
            migrations.RunSQL(
                STAY.format(function=function, sentence=sentence, anew=anew(columns)),
                STAY.format(function=function, sentence=sentence, anew=""),
            )
            for function, (sentence, columns) in STAYS.items()
        ),
        migrations.RunSQL(AS_THEY_ARE, migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="inboundmessage", name=SIZE),
        migrations.AlterField(model_name="inboundmessage", name="raw", field=SealedBytesField(editable=False)),
        migrations.AlterField(model_name="inboundmessage", name="ack_sent", field=sealed(bound_to="dedupe_key")),
        migrations.AlterField(model_name="labordermessage", name="raw", field=sealed()),
        migrations.AlterField(model_name="labordermessage", name="ack", field=sealed()),
        migrations.RunPython(seal_messages, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="inboundmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(size_bytes=0, raw=b"")
                | models.Q(
                    django.db.models.lookups.Exact(
                        models.F("size_bytes") + OVERHEAD, django.db.models.functions.Length("raw")
                    )
                ),
                name=SIZE,
            ),
        ),
    ]
