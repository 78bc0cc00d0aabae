"""Gives each row of the audit log a digest of itself and the number of its transaction, and makes room for the seals.

Rows of before get theirs in the next migration; until then only that may be written to them.
"""

import backend.apps.core.bases
import django.db.models.functions.datetime
from django.db import migrations, models

TEXT = """jsonb_build_array(
        {0}id, extract(epoch FROM {0}"timestamp"), {0}user_id, {0}action, {0}resource_type, {0}resource_id, {0}patient_id,
        {0}outcome, {0}ip_address, {0}user_agent, {0}request_id, {0}detail, {0}xid)::text"""
DIGESTS = f"""
ALTER TABLE core_auditlog ADD COLUMN digest bytea, ADD COLUMN xid bigint;
CREATE FUNCTION core_auditlog_offset() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0::bigint';
CREATE FUNCTION core_auditlog_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.xid := pg_current_xact_id()::text::bigint + core_auditlog_offset();
    NEW.digest := sha256(convert_to({TEXT.format("NEW.")}, 'UTF8'));
    RETURN NEW;
END $$;
CREATE TRIGGER core_auditlog_stamp BEFORE INSERT ON core_auditlog
    FOR EACH ROW EXECUTE FUNCTION core_auditlog_stamp();
CREATE FUNCTION core_auditlog_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.digest IS NULL
       AND to_jsonb(OLD) - 'digest' - 'xid' = to_jsonb(NEW) - 'digest' - 'xid' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The audit log is insert-only: % is refused.', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER core_auditlog_no_rewrite ON core_auditlog;
CREATE TRIGGER core_auditlog_no_rewrite BEFORE UPDATE OR DELETE ON core_auditlog
    FOR EACH ROW EXECUTE FUNCTION core_auditlog_fill();
"""
INSERT_ONLY = """
CREATE TRIGGER {0}_no_rewrite BEFORE UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION core_auditlog_refuse();
CREATE TRIGGER {0}_no_truncate BEFORE TRUNCATE ON {0} FOR EACH STATEMENT EXECUTE FUNCTION core_auditlog_refuse();
"""
SEALS = f"""
ALTER TABLE core_auditseal ALTER COLUMN leaves SET STORAGE EXTERNAL;
{INSERT_ONLY.format("core_auditseal")}
{INSERT_ONLY.format("core_auditarchive")}
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0006_exact_sums"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditAnchor",
            fields=[
                ("target", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("n", models.BigIntegerField(default=0)),
                ("anchored_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="AuditArchive",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("label", models.CharField(max_length=40)),
                ("rows", models.PositiveBigIntegerField()),
                ("file_name", models.CharField(max_length=120)),
                ("statement", models.TextField()),
                ("key_id", models.CharField(max_length=16)),
                ("signature", models.BinaryField(max_length=64)),
                (
                    "archived_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="AuditCheck",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("first", models.BigIntegerField(default=0)),
                ("last", models.BigIntegerField(default=0)),
                ("rows", models.PositiveBigIntegerField(default=0)),
                ("seals", models.PositiveBigIntegerField(default=0)),
                ("good", models.BooleanField()),
                ("findings", models.JSONField(blank=True, default=list)),
                ("verified_until", models.DateTimeField(blank=True, null=True)),
                (
                    "ended_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["-ended_at"], name="audit_check_newest")],
            },
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("n", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("sealed", "Sealed"), ("adopted", "Adopted")], default="sealed", max_length=8
                    ),
                ),
                ("from_xid", models.BigIntegerField()),
                ("to_xid", models.BigIntegerField()),
                ("rows", models.PositiveIntegerField()),
                ("leaves", models.BinaryField()),
                ("root", models.BinaryField(max_length=32)),
                ("prev", models.BinaryField(max_length=32)),
                ("hash", models.BinaryField(max_length=32)),
                ("key_id", models.CharField(max_length=16)),
                ("signature", models.BinaryField(max_length=64)),
                ("cluster", models.CharField(max_length=20)),
                ("sealed_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["to_xid"], name="audit_seal_to"),
                    models.Index(fields=["sealed_at"], name="audit_seal_at"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("from_xid__lte", models.F("to_xid"))), name="core_auditseal_range"
                    )
                ],
            },
        ),
        migrations.RunSQL(DIGESTS + SEALS),
    ]
