"""Seals numbers, mailboxes and reports that are there, in batches; it may be run again."""

from django.db import migrations

from backend.apps.core.resealing import seal_all

# Of a report that is not sealed yet; rows go in the order of their keys, so that each is read once.
NAMED = """
WITH next AS (SELECT id, payload FROM messaging_providerevent WHERE id > %s ORDER BY id LIMIT 5000),
read AS (SELECT id, CASE WHEN payload LIKE '{%%' THEN left(payload::jsonb ->> 'email', 254) END AS mailbox FROM next),
written AS (UPDATE messaging_providerevent AS event SET mailbox = read.mailbox FROM read
            WHERE event.id = read.id AND read.mailbox <> '' AND event.mailbox = '')
SELECT max(id::text)::uuid FROM next
"""
FIRST = "00000000-0000-0000-0000-000000000000"


def name_mailboxes(schema_editor):
    last = FIRST
    with schema_editor.connection.cursor() as cursor:
        while last is not None:
            cursor.execute(NAMED, [last])
            (last,) = cursor.fetchone()


def seal_recipients(apps, schema_editor):
    name_mailboxes(schema_editor)
    for name in ("PatientMessage", "InboundText", "ProviderEvent"):
        seal_all(apps.get_model("messaging", name))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("messaging", "0003_sealed_recipients")]

    operations = [migrations.RunPython(seal_recipients)]
