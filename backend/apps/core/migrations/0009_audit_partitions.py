"""Cuts the audit log into months, so that an old one can be taken off whole; the table of before is the first part.

Needs a moment without writers: building the key of the part anew reads it once.
"""

from django.db import migrations

BEFORE = """
ALTER TABLE core_auditlog RENAME TO core_auditlog_before;
DROP TRIGGER core_auditlog_no_rewrite ON core_auditlog_before;
DROP TRIGGER core_auditlog_stamp ON core_auditlog_before;
DROP FUNCTION core_auditlog_fill();
ALTER TABLE core_auditlog_before
    ALTER COLUMN digest SET NOT NULL, ALTER COLUMN xid SET NOT NULL,
    DROP CONSTRAINT core_auditlog_pkey, ADD CONSTRAINT core_auditlog_before_pkey PRIMARY KEY (id, "timestamp");
ALTER INDEX audit_time RENAME TO audit_time_before;
ALTER INDEX audit_resource RENAME TO audit_resource_before;
ALTER INDEX audit_user RENAME TO audit_user_before;
ALTER INDEX audit_patient RENAME TO audit_patient_before;
ALTER INDEX audit_refused RENAME TO audit_refused_before;
CREATE TABLE core_auditlog (
    LIKE core_auditlog_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    CONSTRAINT core_auditlog_pkey PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX audit_time ON core_auditlog ("timestamp" DESC);
CREATE INDEX audit_resource ON core_auditlog (resource_type, resource_id, "timestamp" DESC);
CREATE INDEX audit_user ON core_auditlog (user_id, "timestamp" DESC);
CREATE INDEX audit_patient ON core_auditlog (patient_id, "timestamp" DESC);
CREATE INDEX audit_refused ON core_auditlog (outcome, "timestamp" DESC) WHERE NOT (outcome = 'allowed');
CREATE INDEX audit_xid ON core_auditlog (xid);
CREATE INDEX audit_patients ON core_auditlog USING gin ((detail -> 'patients') jsonb_path_ops)
    WHERE detail ? 'patients';
CREATE TRIGGER core_auditlog_stamp BEFORE INSERT ON core_auditlog
    FOR EACH ROW EXECUTE FUNCTION core_auditlog_stamp();
CREATE TRIGGER core_auditlog_no_rewrite BEFORE UPDATE OR DELETE ON core_auditlog
    FOR EACH ROW EXECUTE FUNCTION core_auditlog_refuse();
CREATE TRIGGER core_auditlog_no_truncate BEFORE TRUNCATE ON core_auditlog
    FOR EACH STATEMENT EXECUTE FUNCTION core_auditlog_refuse();
ALTER TRIGGER core_auditlog_no_truncate ON core_auditlog_before RENAME TO core_auditlog_before_no_truncate;
"""

ATTACH = """
DO $$
DECLARE
    until timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    newest timestamptz := (SELECT max("timestamp") FROM core_auditlog_before);
BEGIN
    IF newest IS NOT NULL THEN
        until := greatest(until, date_trunc('month', newest AT TIME ZONE 'UTC')) + interval '1 month';
    END IF;
    EXECUTE format('ALTER TABLE core_auditlog ATTACH PARTITION core_auditlog_before FOR VALUES FROM (MINVALUE) TO (%L)',
                   until AT TIME ZONE 'UTC');
END $$;
CREATE TABLE core_auditlog_default PARTITION OF core_auditlog DEFAULT;
CREATE TRIGGER core_auditlog_default_no_truncate BEFORE TRUNCATE ON core_auditlog_default
    FOR EACH STATEMENT EXECUTE FUNCTION core_auditlog_refuse();
"""

# Attached, not made as a partition: that would wait for every reader and writer of the log.
AHEAD = """
CREATE FUNCTION core_auditlog_ahead(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' AS $$
DECLARE
    this timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    first timestamptz;
    past timestamptz;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('core_auditlog_ahead'));
    FOR ahead IN 0..least(months, 24) LOOP
        first := (this + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        past := (this + make_interval(months => ahead + 1)) AT TIME ZONE 'UTC';
        part := 'core_auditlog_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE %I (LIKE core_auditlog INCLUDING ALL, '
                           'CHECK ("timestamp" >= %L AND "timestamp" < %L))', part, first, past);
            EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                           'EXECUTE FUNCTION core_auditlog_refuse()', part || '_no_truncate', part);
            EXECUTE format('ALTER TABLE core_auditlog ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           part, first, past);
            made := made + 1;
        EXCEPTION WHEN invalid_object_definition OR check_violation THEN
            NULL;  -- the rows of this month lie in another part already
        END;
    END LOOP;
    RETURN made;
END $$;
DO $$
BEGIN  -- a temporary table of whoever calls it comes last, or it would be taken for ours
    EXECUTE format('ALTER FUNCTION core_auditlog_ahead(integer) SET search_path = %I, pg_temp', current_schema());
END $$;
SELECT core_auditlog_ahead(3);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0008_audit_digests_filled")]
    operations = [migrations.RunSQL(BEFORE + ATTACH + AHEAD)]
