"""Writes lines from the codes of a claim, and keeps sent bytes and the ledger as they are, whoever writes."""

from django.db import migrations

WRITE_LINES = """
CREATE FUNCTION insurance_put_lines(claim uuid, day date, codes jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO insurance_claimline (
        id, claim_id, number, code, modifiers, description, charge, units, unit_basis, pointers, service_from,
        service_to, place_of_service, is_emergency, ndc, ndc_quantity, ndc_unit, prior_authorization, note,
        rendering_doctor_id)
    SELECT uuidv7(), claim, place, line ->> 'code',
           COALESCE((SELECT string_agg(one, ',' ORDER BY nth)
                     FROM jsonb_array_elements_text(line -> 'modifiers') WITH ORDINALITY AS given (one, nth)), ''),
           COALESCE(line ->> 'description', ''), (line ->> 'charge')::numeric, (line ->> 'units')::numeric,
           COALESCE(line ->> 'unit_basis', 'UN'),
           COALESCE((SELECT string_agg(one, ',' ORDER BY nth)
                     FROM jsonb_array_elements_text(line -> 'diagnosis_pointers') WITH ORDINALITY AS given (one, nth)),
                    ''),
           COALESCE((line ->> 'service_date')::date, day), (line ->> 'service_to')::date,
           COALESCE(line ->> 'place_of_service', ''), COALESCE((line ->> 'is_emergency')::boolean, false),
           COALESCE(line ->> 'ndc', ''), (line ->> 'ndc_quantity')::numeric, COALESCE(line ->> 'ndc_unit', ''),
           COALESCE(line ->> 'prior_authorization', ''), COALESCE(line ->> 'note', ''),
           (line ->> 'rendering_doctor')::uuid
    FROM jsonb_array_elements(codes) WITH ORDINALITY AS lines (line, place)
$$;
CREATE FUNCTION insurance_write_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.procedure_codes = OLD.procedure_codes AND NEW.service_date = OLD.service_date THEN
            RETURN NULL;
        END IF;
        DELETE FROM insurance_claimline WHERE claim_id = NEW.id;
    END IF;
    PERFORM insurance_put_lines(NEW.id, NEW.service_date, NEW.procedure_codes);
    RETURN NULL;
END $$;
CREATE TRIGGER insurance_claim_lines AFTER INSERT OR UPDATE OF procedure_codes, service_date
    ON insurance_insuranceclaim FOR EACH ROW EXECUTE FUNCTION insurance_write_lines();
SELECT insurance_put_lines(id, service_date, procedure_codes) FROM insurance_insuranceclaim;
"""
KEEP_BYTES = """
CREATE FUNCTION insurance_keep_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the bytes of a file stay as they are'
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0];
END $$;
CREATE TRIGGER insurance_interchange_keeps_bytes
    BEFORE UPDATE OF content, sha256, file_name, interchange_number, group_number, partner_id ON insurance_interchange
    FOR EACH ROW WHEN (ROW(OLD.content, OLD.sha256, OLD.file_name, OLD.interchange_number, OLD.group_number,
                           OLD.partner_id)
                       IS DISTINCT FROM ROW(NEW.content, NEW.sha256, NEW.file_name, NEW.interchange_number,
                                            NEW.group_number, NEW.partner_id))
    EXECUTE FUNCTION insurance_keep_bytes('insurance_interchange_keeps_bytes');
CREATE TRIGGER insurance_inboundfile_keeps_bytes
    BEFORE UPDATE OF content, sha256, name, size_bytes, partner_id ON insurance_inboundfile
    FOR EACH ROW WHEN (ROW(OLD.content, OLD.sha256, OLD.name, OLD.size_bytes, OLD.partner_id)
                       IS DISTINCT FROM ROW(NEW.content, NEW.sha256, NEW.name, NEW.size_bytes, NEW.partner_id))
    EXECUTE FUNCTION insurance_keep_bytes('insurance_inboundfile_keeps_bytes');
"""
APPEND_ONLY = """
CREATE FUNCTION insurance_keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an entry of the ledger stays as it is; reverse it by another one'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'insurance_posting_append_only';
END $$;
CREATE TRIGGER insurance_posting_append_only BEFORE UPDATE OR DELETE ON insurance_posting
    FOR EACH ROW EXECUTE FUNCTION insurance_keep_ledger();
"""
# Half a kilobyte more for each claim, against compressing megabytes in the transaction of each file.
AS_THEY_ARE = "ALTER TABLE insurance_interchange ALTER content SET STORAGE EXTERNAL"


class Migration(migrations.Migration):
    dependencies = [("insurance", "0003_claims_pipeline")]

    operations = [
        migrations.RunSQL(
            WRITE_LINES,
            "DROP FUNCTION insurance_write_lines CASCADE; DROP FUNCTION insurance_put_lines CASCADE;"
            "DELETE FROM insurance_claimline;",
        ),
        migrations.RunSQL(KEEP_BYTES, "DROP FUNCTION insurance_keep_bytes CASCADE"),
        migrations.RunSQL(APPEND_ONLY, "DROP FUNCTION insurance_keep_ledger CASCADE"),
        migrations.RunSQL(AS_THEY_ARE, "ALTER TABLE insurance_interchange ALTER content SET STORAGE EXTENDED"),
    ]
