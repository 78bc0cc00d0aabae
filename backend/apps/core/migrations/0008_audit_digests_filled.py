"""Writes the digests of the rows of before, batch by batch; begun again after a break-off it goes on where it was."""

from typing import Any

from django.db import migrations, transaction

BATCH = 20_000
FILL = """
WITH batch AS (SELECT id FROM core_auditlog WHERE (%s::uuid IS NULL OR id > %s::uuid) ORDER BY id LIMIT %s),
     mine AS (SELECT pg_current_xact_id()::text::bigint AS xid),
     filled AS (
        UPDATE core_auditlog AS l SET xid = mine.xid, digest = sha256(convert_to(jsonb_build_array(
            l.id, extract(epoch FROM l."timestamp"), l.user_id, l.action, l.resource_type, l.resource_id, l.patient_id,
            l.outcome, l.ip_address, l.user_agent, l.request_id, l.detail, mine.xid)::text, 'UTF8'))
        FROM batch, mine WHERE l.id = batch.id AND l.digest IS NULL)
SELECT (array_agg(id ORDER BY id DESC))[1] FROM batch"""


def fill(_apps: Any, editor: Any) -> None:
    last = None
    with editor.connection.cursor() as cursor:
        while True:
            with transaction.atomic(using=editor.connection.alias):
                cursor.execute(FILL, [last, last, BATCH])
                (last,) = cursor.fetchone()
            if last is None:
                return


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("core", "0007_audit_digests")]
    operations = [migrations.RunPython(fill)]
