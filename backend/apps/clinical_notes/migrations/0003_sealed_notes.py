"""Seals what clinicians wrote; a signed note stays as it is, and only sealing it anew may touch its row."""

from django.db import migrations

from backend.apps.core.resealing import seal_all
from backend.apps.core.sealed import SealedTextField

LONGEST = {
    "clinicalnote": {
        "content": 50_000, "diagnosis": 10_000, "treatment_plan": 10_000, "follow_up_instructions": 10_000,
    },
    "soapnote": dict.fromkeys(("subjective", "objective", "assessment", "plan"), 20_000),
    "progressnote": dict.fromkeys(
        (
            "current_status", "progress_since_last_visit", "symptoms_update", "medications_review",
            "treatment_effectiveness", "plan_modifications", "treatment_goals", "goals_achieved", "next_steps",
        ),
        20_000,
    ),
}  # fmt: skip
SEALED = "ARRAY[" + ", ".join(f"'{name}'" for columns in LONGEST.values() for name in columns) + "]"
ANEW = f"""TG_OP = 'UPDATE' AND current_setting('carerelay.resealing', true) = 'on'
       AND to_jsonb(NEW) - {SEALED} = to_jsonb(OLD) - {SEALED}"""
STAYS = """
CREATE OR REPLACE FUNCTION clinical_notes_signed_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable text[] := ARRAY['patient_id', 'updated_at'];
BEGIN
    {anew}
    IF OLD.is_signed AND TG_OP = 'UPDATE' AND to_jsonb(NEW) - movable = to_jsonb(OLD) - movable
       AND NEW.patient_id = (SELECT merged_into_id FROM patients_patient WHERE id = OLD.patient_id) THEN
        RETURN NEW;
    END IF;
    IF OLD.is_signed THEN
        RAISE EXCEPTION 'a signed note stays as it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE OR REPLACE FUNCTION clinical_notes_signed_part_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    signed boolean := false;
BEGIN
    {anew}
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
"""


def seal_notes(apps, schema_editor):
    for model in LONGEST:
        seal_all(apps.get_model("clinical_notes", model))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("clinical_notes", "0002_merged_patients")]

    operations = [
        *(
            migrations.AlterField(model_name=model, name=name, field=SealedTextField(blank=True, max_length=longest))
            for model, columns in LONGEST.items()
            for name, longest in columns.items()
        ),
        migrations.RunSQL(
            STAYS.format(anew=f"IF {ANEW} THEN RETURN NEW; END IF;"),
            STAYS.format(anew=""),
        ),
        migrations.RunPython(seal_notes),
    ]
