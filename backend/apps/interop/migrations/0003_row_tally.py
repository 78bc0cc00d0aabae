"""Counts the rows that are kept for good as they are written, so that one that is deleted behind our back is missed."""

from django.db import migrations

TABLES = (
    "appointments_appointmentreminder",
    "messaging_patientmessage",
    "messaging_providerevent",
    "laboratory_labresult",
    "insurance_insuranceclaim",
    "insurance_submission",
    "insurance_interchange",
    "insurance_inboundfile",
    "insurance_remittance",
    "insurance_remittanceclaim",
    "interop_exportjob",
    "credentials_credentialalert",
    "credentials_credentialnotice",
)
# As `core.row_tally` computes them again from the rows.
COUNTED = """date_trunc('hour', coalesce(CASE uuid_extract_version(id) WHEN 7
           THEN uuid_extract_timestamp(id) END, 'epoch'), 'UTC'), count(*),
           bit_xor(uuid_hash_extended(id, 0))"""
FORWARDS = f"""
CREATE FUNCTION core_rowtally_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What was counted stays counted: % is refused.', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER core_rowtally_stays BEFORE UPDATE OR DELETE ON core_rowtally
    FOR EACH ROW EXECUTE FUNCTION core_rowtally_stays();
CREATE TRIGGER core_rowtally_no_truncate BEFORE TRUNCATE ON core_rowtally
    FOR EACH STATEMENT EXECUTE FUNCTION core_rowtally_stays();
CREATE FUNCTION core_rowtally_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core_rowtally (table_name, hour, count, marks) SELECT TG_TABLE_NAME, {COUNTED} FROM fresh GROUP BY 2;
    RETURN NULL;
END $$;
"""  # noqa: S608  # our own names only
BACKWARDS = """
DROP FUNCTION core_rowtally_count();
DROP TRIGGER core_rowtally_no_truncate ON core_rowtally;
DROP TRIGGER core_rowtally_stays ON core_rowtally;
DROP FUNCTION core_rowtally_stays();
DELETE FROM core_rowtally;
"""
# The trigger first: it locks the table against writers, so that no row comes between it and the count of what is there.
COUNT = """
CREATE TRIGGER {table}_tally AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION core_rowtally_count();
INSERT INTO core_rowtally (table_name, hour, count, marks) SELECT '{table}', {counted} FROM {table} GROUP BY 2;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0005_replan_requests"),
        ("core", "0005_operations"),
        ("credentials", "0001_initial"),
        ("insurance", "0005_naic_code"),
        ("interop", "0002_stuck_work"),
        ("laboratory", "0013_dropped"),
        ("messaging", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(FORWARDS, BACKWARDS),
        *(
            migrations.RunSQL(COUNT.format(table=table, counted=COUNTED), f"DROP TRIGGER {table}_tally ON {table}")
            for table in TABLES
        ),
    ]
