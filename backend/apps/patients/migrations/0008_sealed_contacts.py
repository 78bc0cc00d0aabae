"""Gives numbers and mailboxes of patients columns that are sealed, and blind indexes to find them by.

The ledger of consents stays as it is, but for being sealed anew by who owns the tables.
"""

import django.core.validators
from django.db import migrations, models

import backend.apps.core.validators
from backend.apps.core.sealed import BlindIndex, SealedTextField

# The search path is our own: a table of the caller's, made for this session, is found before ours otherwise.
STAYS = """
CREATE OR REPLACE FUNCTION patients_consent_stays() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    movable text[] := ARRAY['patient_id', 'updated_at'];
BEGIN
    {anew}
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - movable = to_jsonb(OLD) - movable
       AND NEW.patient_id = (SELECT merged_into_id FROM patients_patient WHERE id = OLD.patient_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The ledger of consents is insert-only: % is refused.', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
ANEW = """IF TG_OP = 'UPDATE' AND current_setting('carerelay.resealing', true) = 'on'
       AND pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID), 'USAGE')
       AND to_jsonb(NEW) - 'address' = to_jsonb(OLD) - 'address' THEN
        RETURN NEW;
    END IF;"""


def phone(**options):
    return SealedTextField(
        max_length=16, blank=True, validators=[backend.apps.core.validators.validate_phone], **options
    )


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0007_access_ended_by_merge"),
    ]

    operations = [
        migrations.RunSQL(STAYS.format(anew=ANEW), STAYS.format(anew="")),
        migrations.RemoveConstraint(model_name="contactpoint", name="patients_contactpoint_once"),
        migrations.RemoveConstraint(model_name="patient", name="patients_patient_phone_e164"),
        migrations.RemoveIndex(model_name="contactpoint", name="contact_point_address"),
        migrations.RemoveIndex(model_name="patient", name="patient_email"),
        migrations.RemoveIndex(model_name="patient", name="patient_phone"),
        migrations.AddField(
            model_name="contactpoint",
            name="address_index",
            field=BlindIndex(editable=False, normal="exact", null=True, of="address"),
        ),
        migrations.AddField(
            model_name="patient",
            name="email_index",
            field=BlindIndex(editable=False, normal="email", null=True, of="email"),
        ),
        migrations.AddField(
            model_name="patient",
            name="phone_index",
            field=BlindIndex(editable=False, normal="phone", null=True, of="phone"),
        ),
        migrations.AlterField(
            model_name="contactconsent", name="address", field=SealedTextField(blank=True, max_length=254)
        ),
        migrations.AlterField(
            model_name="contactpoint", name="address", field=SealedTextField(editable=False, max_length=254)
        ),
        migrations.AlterField(
            model_name="patient",
            name="email",
            field=SealedTextField(blank=True, max_length=254, validators=[django.core.validators.EmailValidator()]),
        ),
        migrations.AlterField(model_name="patient", name="emergency_contact_phone", field=phone()),
        migrations.AlterField(model_name="patient", name="phone", field=phone()),
        migrations.AddIndex(
            model_name="contactpoint",
            index=models.Index(fields=["address_index"], name="contact_point_address"),
        ),
        migrations.AddIndex(model_name="patient", index=models.Index(fields=["email_index"], name="patient_email")),
        migrations.AddIndex(model_name="patient", index=models.Index(fields=["phone_index"], name="patient_phone")),
        migrations.AddConstraint(
            model_name="contactpoint",
            constraint=models.UniqueConstraint(fields=("channel", "address_index"), name="patients_contactpoint_once"),
        ),
    ]
