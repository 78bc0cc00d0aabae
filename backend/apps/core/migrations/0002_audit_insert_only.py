"""Makes the audit log insert-only in the database itself, so that no code path, admin page or shell can rewrite it."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION core_auditlog_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is insert-only: % is refused.', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER core_auditlog_no_rewrite BEFORE UPDATE OR DELETE ON core_auditlog
    FOR EACH ROW EXECUTE FUNCTION core_auditlog_refuse();
CREATE TRIGGER core_auditlog_no_truncate BEFORE TRUNCATE ON core_auditlog
    FOR EACH STATEMENT EXECUTE FUNCTION core_auditlog_refuse();
"""
BACKWARDS = """
DROP TRIGGER core_auditlog_no_truncate ON core_auditlog;
DROP TRIGGER core_auditlog_no_rewrite ON core_auditlog;
DROP FUNCTION core_auditlog_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
