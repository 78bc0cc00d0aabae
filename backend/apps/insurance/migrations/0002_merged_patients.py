"""Lets a coverage follow its patient into the record that patient was merged into, and nowhere else."""

from django.db import migrations

FOLLOWS = """
CREATE OR REPLACE FUNCTION insurance_keep_patient() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.patient_id IS NOT DISTINCT FROM (SELECT merged_into_id FROM patients_patient WHERE id = OLD.patient_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a coverage stays with its patient'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'insurance_coverage_keeps_patient';
END $$;
"""
STAYS = """
CREATE OR REPLACE FUNCTION insurance_keep_patient() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a coverage stays with its patient'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'insurance_coverage_keeps_patient';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("insurance", "0001_initial"), ("patients", "0002_merges")]

    operations = [migrations.RunSQL(FOLLOWS, STAYS)]
