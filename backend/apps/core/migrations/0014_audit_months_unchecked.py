"""Takes the check of its span off each month of the audit log: it spared the attaching a look at all rows of the month.

Since then the bounds of the partition say the same, and to read the check anew for each row was a tenth of the work of
writing it. A month that is in use without a pause keeps it, which costs that time and nothing else.
"""

from contextlib import suppress
from typing import Any

from django.db import OperationalError, migrations, transaction

AHEAD = """
CREATE OR REPLACE FUNCTION core_auditlog_ahead(months integer) RETURNS integer
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
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', part, part || '_timestamp_check');
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
"""
CHECKED = """
SELECT c.conrelid::regclass::text, quote_ident(c.conname) FROM pg_constraint c JOIN pg_inherits i ON i.inhrelid = c.conrelid
JOIN pg_class t ON t.oid = c.conrelid
WHERE i.inhparent = 'core_auditlog'::regclass AND c.contype = 'c' AND c.conname = t.relname || '_timestamp_check'
ORDER BY 1"""


def take_off(_apps: Any, editor: Any) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute(CHECKED)
        for part, check in cursor.fetchall():
            with suppress(OperationalError), transaction.atomic(using=editor.connection.alias):
                cursor.execute("SET LOCAL lock_timeout = '5s'")
                cursor.execute(f"ALTER TABLE {part} DROP CONSTRAINT {check}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("core", "0013_anchored_archives_read")]
    operations = [migrations.RunSQL(AHEAD), migrations.RunPython(take_off)]
