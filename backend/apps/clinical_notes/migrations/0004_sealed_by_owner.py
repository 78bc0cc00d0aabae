"""Lets only who owns the tables seal signed notes anew: the role of the parts could rewrite them so."""

from django.db import migrations

# The search path is our own: a table of the caller's, made for this session, is found before ours otherwise.
OURS = "SET search_path = pg_catalog, public, pg_temp"
OWNER = """current_setting('carerelay.resealing', true) = 'on'
       AND pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID), 'USAGE')"""
SEALED = """ARRAY['chief_complaint', 'content', 'diagnosis', 'treatment_plan', 'follow_up_instructions',
        'subjective', 'objective', 'assessment', 'plan', 'current_status', 'progress_since_last_visit',
        'symptoms_update', 'medications_review', 'treatment_effectiveness', 'plan_modifications', 'treatment_goals',
        'goals_achieved', 'next_steps']"""
ANEW = f"""TG_OP = 'UPDATE' AND {OWNER}
       AND to_jsonb(NEW) - {SEALED} = to_jsonb(OLD) - {SEALED}"""
STAYS = f"""
CREATE OR REPLACE FUNCTION clinical_notes_signed_stays() RETURNS trigger LANGUAGE plpgsql {OURS} AS $$
DECLARE
    movable text[] := ARRAY['patient_id', 'updated_at'];
BEGIN
    IF {ANEW} THEN RETURN NEW; END IF;
    IF OLD.is_signed AND TG_OP = 'UPDATE' AND to_jsonb(NEW) - movable = to_jsonb(OLD) - movable
       AND NEW.patient_id = (SELECT merged_into_id FROM patients_patient WHERE id = OLD.patient_id) THEN
        RETURN NEW;
    END IF;
    IF OLD.is_signed THEN
        RAISE EXCEPTION 'a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE OR REPLACE FUNCTION clinical_notes_signed_part_stays() RETURNS trigger LANGUAGE plpgsql {OURS} AS $$
DECLARE
    signed boolean := false;
BEGIN
    IF {ANEW} THEN RETURN NEW; END IF;
    IF TG_OP <> 'INSERT' THEN
        SELECT is_signed INTO signed FROM clinical_notes_clinicalnote WHERE id = OLD.clinical_note_id FOR SHARE;
    END IF;
    IF TG_OP <> 'DELETE' AND NOT COALESCE(signed, false) THEN
        SELECT is_signed INTO signed FROM clinical_notes_clinicalnote WHERE id = NEW.clinical_note_id FOR SHARE;
    END IF;
    IF signed THEN
        RAISE EXCEPTION 'a part of a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
"""  # noqa: S608  # our own names only


class Migration(migrations.Migration):
    dependencies = [("clinical_notes", "0003_sealed_notes")]

    operations = [migrations.RunSQL(STAYS, migrations.RunSQL.noop)]
