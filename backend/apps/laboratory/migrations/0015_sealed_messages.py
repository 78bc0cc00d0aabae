"""Lets messages be sealed as they came and as they went; they stay as they are, but for being sealed anew."""

from django.db import migrations

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


def sealed(**options):
    return SealedBytesField(default=b"", db_default=b"", editable=False, **options)


class Migration(migrations.Migration):
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
    ]
