"""Makes the ledger of consents insert-only, and begins it with what the patients' own columns say."""

from django.db import migrations

STAYS = """
CREATE FUNCTION patients_consent_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable text[] := ARRAY['patient_id', 'updated_at'];
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - movable = to_jsonb(OLD) - movable
       AND NEW.patient_id = (SELECT merged_into_id FROM patients_patient WHERE id = OLD.patient_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The ledger of consents is insert-only: % is refused.', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER patients_contactconsent_stays BEFORE UPDATE OR DELETE ON patients_contactconsent
    FOR EACH ROW EXECUTE FUNCTION patients_consent_stays();
"""
CHANGES = """
DROP TRIGGER patients_contactconsent_stays ON patients_contactconsent;
DROP FUNCTION patients_consent_stays();
"""
BEGINS = """
INSERT INTO patients_contactconsent
    (id, created_at, updated_at, is_deleted, patient_id, channel, given, method, address, evidence)
SELECT uuidv7(), said.at, said.at, false, p.id, said.channel, true, 'import', said.address, 'before the ledger'
FROM patients_patient p
CROSS JOIN LATERAL (VALUES ('sms', p.sms_consent, p.sms_consent_at, p.phone),
                           ('email', p.email_consent, p.email_consent_at, lower(p.email)))
    AS said (channel, given, at, address)
WHERE said.given
"""


class Migration(migrations.Migration):
    dependencies = [("patients", "0003_contacts")]

    operations = [
        migrations.RunSQL(STAYS, CHANGES),
        migrations.RunSQL(BEGINS, migrations.RunSQL.noop),
    ]
