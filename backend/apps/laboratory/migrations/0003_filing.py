"""Adds panels, specimens and code mappings, and what a result keeps of where it came from."""

import backend.apps.core.bases
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As before; a test that becomes known later may be noted together with the mapping that names it.
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
        movable := movable || ARRAY['lab_test_id'%s];
    END IF;
    IF OLD.file_attachment = '' THEN
        movable := movable || ARRAY['file_attachment'];
    END IF;
    IF to_jsonb(NEW) - movable IS DISTINCT FROM to_jsonb(OLD) - movable THEN
        RAISE EXCEPTION 'A laboratory result is never rewritten; file another version.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
RESULTS_STAY = BODY % ", 'mapping_id'"
RESULTS_STAYED = BODY % ""


class Migration(migrations.Migration):
    dependencies = [
        ("laboratory", "0002_lab_feeds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="labresult",
            name="flags_as_sent",
            field=models.CharField(blank=True, editable=False, max_length=60),
        ),
        migrations.AddField(
            model_name="labresult",
            name="group_key",
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="labresult",
            name="other_code_as_sent",
            field=models.CharField(blank=True, editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="labresult",
            name="other_system_as_sent",
            field=models.CharField(blank=True, editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="labresult",
            name="other_text_as_sent",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name="labresult",
            name="parent_key",
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="labresult",
            name="source_segment",
            field=models.CharField(blank=True, editable=False, max_length=3),
        ),
        migrations.AddField(
            model_name="labresult",
            name="unit_as_sent",
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AlterField(
            model_name="laborder",
            name="doctor",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lab_orders",
                to="doctors.doctor",
            ),
        ),
        migrations.AlterField(
            model_name="laborder",
            name="patient",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lab_orders",
                to="patients.patient",
            ),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="entered_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="lab_order",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="results",
                to="laboratory.laborder",
            ),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="lab_test",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="results",
                to="laboratory.labtest",
            ),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="observation_index",
            field=models.PositiveIntegerField(
                blank=True, editable=False, help_text="Which segment of that name in the message, from 1.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="supersedes",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="superseded_by",
                to="laboratory.labresult",
            ),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="unit",
            field=models.TextField(blank=True, help_text="In UCUM where the unit sent is known."),
        ),
        migrations.AlterField(
            model_name="labresult",
            name="verified_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.CreateModel(
            name="LabCodeMapping",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("code", models.CharField(max_length=200)),
                ("system", models.CharField(blank=True, max_length=200)),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("is_current", models.BooleanField(default=True, editable=False)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "feed",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="code_mappings",
                        to="laboratory.labfeed",
                    ),
                ),
                (
                    "lab_test",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="code_mappings",
                        to="laboratory.labtest",
                    ),
                ),
            ],
            options={
                "ordering": ["code", "-version", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["code", "is_current"], name="labcodemapping_code"),
                    models.Index(fields=["-created_at", "id"], name="labcodemapping_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labcodemapping_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_current", True), ("is_deleted", False)),
                        fields=("feed", "code", "system"),
                        name="laboratory_labcodemapping_one_current",
                        nulls_distinct=False,
                        violation_error_message="This code has a meaning already; map it again to change it.",
                    ),
                    models.UniqueConstraint(
                        fields=("feed", "code", "system", "version"),
                        name="laboratory_labcodemapping_version_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("code", ""), _negated=True), name="laboratory_labcodemapping_names_code"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("version__gte", 1)), name="laboratory_labcodemapping_version_counts"
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="labresult",
            name="mapping",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                help_text="The version of our own mapping that named the test.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="results",
                to="laboratory.labcodemapping",
            ),
        ),
        migrations.CreateModel(
            name="ReportedPanel",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sender", models.CharField(max_length=250)),
                ("number", models.CharField(max_length=200)),
                ("panel_code", models.CharField(blank=True, max_length=200)),
                ("panel_text", models.TextField(blank=True)),
                ("placers", models.JSONField(blank=True, default=list)),
                ("ordered_at", models.DateTimeField()),
                ("collected_at", models.DateTimeField(blank=True, null=True)),
                (
                    "priority",
                    models.CharField(
                        choices=[("routine", "Routine"), ("urgent", "Urgent"), ("stat", "STAT")],
                        default="routine",
                        max_length=7,
                    ),
                ),
                (
                    "lab_order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reported_panels",
                        to="laboratory.laborder",
                    ),
                ),
                (
                    "lab_test",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="laboratory.labtest",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="patients.patient",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("patient", "sender", "number", "panel_code"), name="laboratory_reportedpanel_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__in", ["routine", "urgent", "stat"])),
                        name="laboratory_reportedpanel_priority_known",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="LabSpecimen",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("specimen_id", models.CharField(editable=False, max_length=200)),
                ("type_code", models.CharField(blank=True, max_length=200)),
                ("type_text", models.TextField(blank=True)),
                ("type_system", models.CharField(blank=True, max_length=200)),
                ("site", models.TextField(blank=True)),
                ("description", models.TextField(blank=True)),
                ("collected_at", models.DateTimeField(blank=True, null=True)),
                ("collected_until", models.DateTimeField(blank=True, null=True)),
                ("received_at", models.DateTimeField(blank=True, null=True)),
                ("condition", models.TextField(blank=True)),
                ("reject_reason", models.TextField(blank=True)),
                ("said_at", models.DateTimeField(editable=False)),
                ("digest", models.CharField(editable=False, max_length=64)),
                (
                    "lab_order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="specimens", to="laboratory.laborder"
                    ),
                ),
                (
                    "source_message",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="specimens",
                        to="laboratory.inboundmessage",
                    ),
                ),
                (
                    "panel",
                    models.ForeignKey(
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="specimens",
                        to="laboratory.reportedpanel",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [models.Index(fields=["-created_at", "id"], name="labspecimen_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="laboratory_labspecimen_deleted_has_time",
                    ),
                    models.UniqueConstraint(fields=("panel", "specimen_id"), name="laboratory_labspecimen_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("collected_until__isnull", True), ("collected_at__isnull", False), _connector="OR"
                        ),
                        name="laboratory_labspecimen_collected_from",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="labresult",
            name="panel",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="results",
                to="laboratory.reportedpanel",
            ),
        ),
        migrations.AddIndex(
            model_name="labresult",
            index=models.Index(
                condition=models.Q(("parent_key", ""), _negated=True), fields=["parent_key"], name="labresult_parent"
            ),
        ),
        migrations.RunSQL(RESULTS_STAY, RESULTS_STAYED),
    ]
