"""Lets only who owns the tables seal messages anew: the role of the parts could rewrite them so."""

from django.db import migrations

# The search path is our own: a table of the caller's, made for this session, is found before ours otherwise.
OURS = "SET search_path = pg_catalog, public, pg_temp"
OWNER = """current_setting('carerelay.resealing', true) = 'on'
       AND pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID), 'USAGE')"""
STAYS = {
    "laboratory_messages_stay": ("A received message is never rewritten.", "ARRAY['raw', 'ack_sent']"),
    "laboratory_sent_orders_stay": ("A message that was sent is never rewritten.", "ARRAY['raw', 'ack']"),
}


def stay(function, sentence, columns):
    return f"""
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql {OURS} AS $$
BEGIN
    IF {OWNER} AND to_jsonb(NEW) - {columns} = to_jsonb(OLD) - {columns} THEN RETURN NEW; END IF;
    RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0017_sealed_size")]

    operations = [migrations.RunSQL(stay(function, *told), migrations.RunSQL.noop) for function, told in STAYS.items()]
