"""Seals the number for taxes under a key of its own, no longer under the secret key, and the bytes of files.

Files stay as they are, and only sealing them anew may touch their rows.
"""

from django.core.validators import RegexValidator
from django.db import migrations

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedBytesField, SealedTextField
from backend.apps.core.seals import unseal

KEEP = """
CREATE OR REPLACE FUNCTION insurance_keep_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {anew}
    RAISE EXCEPTION 'the bytes of a file stay as they are'
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0];
END $$;
"""
ANEW = """
    IF current_setting('carerelay.resealing', true) = 'on'
       AND to_jsonb(NEW) - 'content' = to_jsonb(OLD) - 'content' THEN
        RETURN NEW;
    END IF;
"""
# What is sealed does not get smaller.
AS_THEY_ARE = "ALTER TABLE insurance_inboundfile ALTER content SET STORAGE EXTERNAL"


def seal_columns(apps, schema_editor):
    seal_all(apps.get_model("insurance", "BillingEntity"), unseal)
    for model in ("Interchange", "InboundFile"):
        seal_all(apps.get_model("insurance", model))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("insurance", "0006_stuck_work")]

    operations = [
        migrations.AlterField(
            model_name="billingentity",
            name="tax_id",
            field=SealedTextField(max_length=9, validators=[RegexValidator("^[0-9]{9}$", "Nine digits.")]),
        ),
        *(
            migrations.AlterField(model_name=model, name="content", field=SealedBytesField(editable=False))
            for model in ("interchange", "inboundfile")
        ),
        migrations.RunSQL(KEEP.format(anew=ANEW), KEEP.format(anew="")),
        migrations.RunSQL(AS_THEY_ARE, "ALTER TABLE insurance_inboundfile ALTER content SET STORAGE EXTENDED"),
        migrations.RunPython(seal_columns),
    ]
