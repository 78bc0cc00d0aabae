"""Lets the histories of merged records become one, and remembers which messages restate a preliminary value."""

import django.db.models.deletion
from django.db import migrations, models

import backend.apps.core.bases

# As before; where two records of one person are joined, and only there, an observation may get the name of its twin.
BODY = """
CREATE OR REPLACE FUNCTION laboratory_results_stay() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable text[] := ARRAY['lab_order_id', 'panel_id', 'version', 'is_current', 'supersedes_id', 'sent_at',
                            'updated_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'A laboratory result is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.verified_at IS NULL THEN
        movable := movable || ARRAY['verified_by_id', 'verified_at', 'released_at'];
    END IF;
    IF OLD.lab_test_id IS NULL THEN
        movable := movable || ARRAY['lab_test_id', 'mapping_id'];
    END IF;
    IF OLD.file_attachment = '' THEN
        movable := movable || ARRAY['file_attachment'];
    END IF;%s
    IF to_jsonb(NEW) - movable IS DISTINCT FROM to_jsonb(OLD) - movable THEN
        RAISE EXCEPTION 'A laboratory result is never rewritten; file another version.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
JOINED = """
    IF current_setting('carerelay.joins_results', true) = 'on' THEN
        movable := movable || ARRAY['result_key', 'digest'];
    END IF;"""


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0008_ledger"),
    ]

    operations = [
        migrations.AddField(
            model_name="labresult",
            name="restates",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="The laboratory called it final without its value; this is the preliminary one.",
            ),
        ),
        migrations.CreateModel(
            name="Restatement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("result_key", models.CharField(max_length=64)),
                (
                    "message",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="restatements",
                        to="laboratory.inboundmessage",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["result_key"], name="restatement_key")],
                "constraints": [
                    models.UniqueConstraint(fields=("message", "result_key"), name="laboratory_restatement_once")
                ],
            },
        ),
        migrations.RunSQL(BODY % JOINED, BODY % ""),
    ]
