"""Lets only who owns the tables seal the bytes of files anew: the role of the parts could rewrite them so."""

from django.db import migrations

# The search path is our own: a table of the caller's, made for this session, is found before ours otherwise.
OURS = "SET search_path = pg_catalog, public, pg_temp"
OWNER = """current_setting('carerelay.resealing', true) = 'on'
       AND pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID), 'USAGE')"""
KEEP = f"""
CREATE OR REPLACE FUNCTION insurance_keep_bytes() RETURNS trigger LANGUAGE plpgsql {OURS} AS $$
BEGIN
    IF {OWNER} AND to_jsonb(NEW) - 'content' = to_jsonb(OLD) - 'content' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the bytes of a file stay as they are'
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0];
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("insurance", "0009_sealed_numbers_filled")]

    operations = [migrations.RunSQL(KEEP, migrations.RunSQL.noop)]
