"""Lets a signed note follow its patient into the record that patient was merged into; what it says stays."""

from django.db import migrations

FOLLOWS = """
CREATE OR REPLACE FUNCTION clinical_notes_signed_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable text[] := ARRAY['patient_id', 'updated_at'];
BEGIN
    IF OLD.is_signed AND TG_OP = 'UPDATE' AND to_jsonb(NEW) - movable = to_jsonb(OLD) - movable
       AND NEW.patient_id = (SELECT merged_into_id FROM patients_patient WHERE id = OLD.patient_id) THEN
        RETURN NEW;
    END IF;
    IF OLD.is_signed THEN
        RAISE EXCEPTION 'a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
"""
STAYS = """
CREATE OR REPLACE FUNCTION clinical_notes_signed_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.is_signed THEN
        RAISE EXCEPTION 'a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("clinical_notes", "0001_initial"), ("patients", "0002_merges")]

    operations = [migrations.RunSQL(FOLLOWS, STAYS)]
