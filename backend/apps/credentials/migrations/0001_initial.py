"""Creates the tables of the watch over credentials."""

import backend.apps.core.bases
import backend.apps.credentials.models.policies
import datetime
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("doctors", "0003_credential_review"),
        ("employees", "0002_credentials"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CredentialAlert",
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
                (
                    "credential_type",
                    models.CharField(
                        choices=[
                            ("state_license", "State License"),
                            ("dea", "DEA registration"),
                            ("board_certification", "Board Certification"),
                            ("malpractice", "Malpractice insurance"),
                            ("bls", "Basic life support"),
                            ("acls", "Advanced cardiac life support"),
                            ("immunization", "Immunization"),
                            ("hipaa_training", "HIPAA training"),
                            ("other", "Other"),
                        ],
                        editable=False,
                        max_length=20,
                    ),
                ),
                ("tier", models.SmallIntegerField(editable=False)),
                ("expiry_date", models.DateField(editable=False)),
                (
                    "opened_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        editable=False,
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "closed_because",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("renewed", "a renewed one is on file"),
                            ("followed", "a later tier was reached"),
                            ("withdrawn", "the credential or its holder is gone, or it was rejected or corrected"),
                        ],
                        default="",
                        editable=False,
                        max_length=9,
                    ),
                ),
                (
                    "doctor_credential",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="doctors.doctorcredential",
                    ),
                ),
                (
                    "employee_credential",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="employees.employeecredential",
                    ),
                ),
            ],
            options={
                "ordering": ["-opened_at", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="CredentialNotice",
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
                (
                    "work_state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("held", "held for a person"),
                        ],
                        db_default="waiting",
                        default="waiting",
                        editable=False,
                        max_length=8,
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        editable=False,
                    ),
                ),
                ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("lease_no", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ("begun_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ("last_error", models.CharField(blank=True, db_default="", default="", editable=False, max_length=300)),
                ("dedupe_key", models.CharField(editable=False, max_length=160, unique=True)),
                (
                    "audience",
                    models.CharField(
                        choices=[
                            ("holder", "Holder"),
                            ("manager", "Manager"),
                            ("compliance", "Compliance"),
                            ("administrator", "administrator, once a day"),
                        ],
                        editable=False,
                        max_length=13,
                    ),
                ),
                ("day", models.DateField(editable=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("sent", "Sent"),
                            ("not_needed", "not needed any more when it was due"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=10,
                    ),
                ),
                (
                    "recipient_email",
                    models.EmailField(blank=True, db_default="", default="", editable=False, max_length=254),
                ),
                (
                    "external_id",
                    models.CharField(blank=True, db_default="", default="", editable=False, max_length=128),
                ),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "alert",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notices",
                        to="credentials.credentialalert",
                    ),
                ),
                (
                    "recipient",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credential_notices",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="CredentialOverride",
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
                (
                    "credential_type",
                    models.CharField(
                        choices=[
                            ("state_license", "State License"),
                            ("dea", "DEA registration"),
                            ("board_certification", "Board Certification"),
                            ("malpractice", "Malpractice insurance"),
                            ("bls", "Basic life support"),
                            ("acls", "Advanced cardiac life support"),
                            ("immunization", "Immunization"),
                            ("hipaa_training", "HIPAA training"),
                            ("other", "Other"),
                        ],
                        max_length=20,
                    ),
                ),
                ("reason", models.CharField(max_length=300)),
                ("granted_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("expires_at", models.DateTimeField(help_text="At most 72 hours from now.")),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "doctor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credential_overrides",
                        to="doctors.doctor",
                    ),
                ),
                (
                    "ended_by",
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
                    "granted_by",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-granted_at", "id"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="CredentialPolicy",
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
                (
                    "credential_type",
                    models.CharField(
                        choices=[
                            ("state_license", "State License"),
                            ("dea", "DEA registration"),
                            ("board_certification", "Board Certification"),
                            ("malpractice", "Malpractice insurance"),
                            ("bls", "Basic life support"),
                            ("acls", "Advanced cardiac life support"),
                            ("immunization", "Immunization"),
                            ("hipaa_training", "HIPAA training"),
                            ("other", "Other"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "tiers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveSmallIntegerField(),
                        default=backend.apps.credentials.models.policies.usual_tiers,
                        size=20,
                        validators=[backend.apps.credentials.models.policies.validate_tiers],
                    ),
                ),
                ("weekly_after", models.BooleanField(default=True)),
                ("manager_from", models.PositiveSmallIntegerField(default=14)),
                ("compliance_from", models.PositiveSmallIntegerField(default=1)),
                (
                    "needed_for",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("appointments", "new appointments"),
                                ("prescriptions", "Prescriptions"),
                                ("controlled_substances", "prescriptions of controlled substances"),
                                ("claims", "claims for what the doctor did"),
                            ],
                            max_length=21,
                        ),
                        blank=True,
                        default=list,
                        size=4,
                    ),
                ),
                ("must_be_verified", models.BooleanField(default=True)),
                ("applied_to", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name_plural": "credential policies",
                "ordering": ["credential_type"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="credentials_credentialpolicy_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False)),
                        fields=("credential_type",),
                        name="credentials_policy_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "credential_type__in",
                                [
                                    "state_license",
                                    "dea",
                                    "board_certification",
                                    "malpractice",
                                    "bls",
                                    "acls",
                                    "immunization",
                                    "hipaa_training",
                                    "other",
                                ],
                            )
                        ),
                        name="credentials_policy_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "needed_for__contained_by",
                                ["appointments", "prescriptions", "controlled_substances", "claims"],
                            )
                        ),
                        name="credentials_policy_needed_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("tiers__len__gt", 0)), name="credentials_policy_has_tiers"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CredentialRules",
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
                (
                    "sends_digest",
                    models.BooleanField(
                        default=True, help_text="One e-mail a day to each administrator, if any is due."
                    ),
                ),
                (
                    "compliance_officer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "credential rules",
                "ordering": ["created_at"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RegistryCheck",
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
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("nppes", "NPPES, the registry of NPIs"),
                            ("leie", "LEIE, the list of excluded individuals and entities"),
                        ],
                        editable=False,
                        max_length=5,
                    ),
                ),
                ("edition", models.CharField(editable=False, max_length=20)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("clear", "Clear"),
                            ("differs", "the registry has another name, state or licence"),
                            ("not_found", "Not Found"),
                            ("deactivated", "Deactivated"),
                            ("perhaps_excluded", "somebody of that name is excluded"),
                            ("excluded", "Excluded"),
                        ],
                        editable=False,
                        max_length=16,
                    ),
                ),
                ("finding", models.JSONField(blank=True, default=dict, editable=False)),
                ("checked_at", models.DateTimeField(editable=False)),
                ("loaded_at", models.DateTimeField(editable=False)),
                (
                    "settled_as",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("clear", "Clear"),
                            ("differs", "the registry has another name, state or licence"),
                            ("not_found", "Not Found"),
                            ("deactivated", "Deactivated"),
                            ("perhaps_excluded", "somebody of that name is excluded"),
                            ("excluded", "Excluded"),
                        ],
                        default="",
                        editable=False,
                        max_length=16,
                    ),
                ),
                ("settled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("note", models.CharField(blank=True, default="", editable=False, max_length=300)),
                (
                    "settled_by",
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
                    "user",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="registry_checks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-checked_at", "id"],
                "abstract": False,
            },
        ),
        migrations.AddIndex(
            model_name="credentialalert",
            index=models.Index(
                condition=models.Q(("closed_at", None)), fields=["expiry_date", "id"], name="credential_alert_open"
            ),
        ),
        migrations.AddIndex(
            model_name="credentialalert",
            index=models.Index(fields=["-opened_at", "id"], name="credential_alert_newest"),
        ),
        migrations.AddIndex(
            model_name="credentialalert",
            index=models.Index(fields=["credential_type", "-opened_at"], name="credential_alert_type"),
        ),
        migrations.AddIndex(
            model_name="credentialalert",
            index=models.Index(fields=["closed_at", "-opened_at"], name="credential_alert_closed"),
        ),
        migrations.AddConstraint(
            model_name="credentialalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="credentials_credentialalert_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("doctor_credential__isnull", False), ("employee_credential__isnull", True)),
                    models.Q(("doctor_credential__isnull", True), ("employee_credential__isnull", False)),
                    _connector="OR",
                ),
                name="credentials_alert_of_one_credential",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialalert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("doctor_credential__isnull", False)),
                fields=("doctor_credential", "tier", "expiry_date"),
                name="credentials_alert_doctor_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialalert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("employee_credential__isnull", False)),
                fields=("employee_credential", "tier", "expiry_date"),
                name="credentials_alert_employee_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at__isnull", True), ("closed_because", "")),
                    models.Q(("closed_at__isnull", False), models.Q(("closed_because", ""), _negated=True)),
                    _connector="OR",
                ),
                name="credentials_alert_closed_why",
            ),
        ),
        migrations.AddIndex(
            model_name="credentialnotice",
            index=models.Index(
                condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="credential_notice_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="credentialnotice",
            index=models.Index(
                condition=models.Q(("work_state", "running")), fields=["leased_until"], name="credential_notice_running"
            ),
        ),
        migrations.AddIndex(
            model_name="credentialnotice",
            index=models.Index(
                condition=models.Q(("work_state__in", ("failed", "held"))),
                fields=["work_state", "due_at"],
                name="credential_notice_stuck",
            ),
        ),
        migrations.AddIndex(
            model_name="credentialnotice",
            index=models.Index(fields=["-created_at", "id"], name="credential_notice_newest"),
        ),
        migrations.AddIndex(
            model_name="credentialnotice",
            index=models.Index(fields=["status", "-created_at"], name="credential_notice_status"),
        ),
        migrations.AddConstraint(
            model_name="credentialnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="credentials_credentialnotice_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(("audience__in", ["holder", "manager", "compliance", "administrator"])),
                name="credentials_notice_audience_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                name="credentials_notice_work_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("alert__isnull", True), ("audience", "administrator")),
                    models.Q(("alert__isnull", False), models.Q(("audience", "administrator"), _negated=True)),
                    _connector="OR",
                ),
                name="credentials_notice_about_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "sent"), _negated=True), ("sent_at__isnull", False), _connector="OR"
                ),
                name="credentials_notice_sent_has_time",
            ),
        ),
        migrations.AddIndex(
            model_name="credentialoverride",
            index=models.Index(fields=["doctor", "credential_type", "-expires_at"], name="credential_override_of"),
        ),
        migrations.AddIndex(
            model_name="credentialoverride",
            index=models.Index(fields=["-granted_at", "id"], name="credential_override_newest"),
        ),
        migrations.AddIndex(
            model_name="credentialoverride",
            index=models.Index(fields=["credential_type", "-granted_at"], name="credential_override_type"),
        ),
        migrations.AddConstraint(
            model_name="credentialoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="credentials_credentialoverride_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "credential_type__in",
                        [
                            "state_license",
                            "dea",
                            "board_certification",
                            "malpractice",
                            "bls",
                            "acls",
                            "immunization",
                            "hipaa_training",
                            "other",
                        ],
                    )
                ),
                name="credentials_override_type_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_at__gt", models.F("granted_at")),
                    (
                        "expires_at__lte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("granted_at"), "+", models.Value(datetime.timedelta(days=3))
                        ),
                    ),
                ),
                name="credentials_override_72_hours_at_most",
                violation_error_message="An exception lasts 72 hours at most.",
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialoverride",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="credentials_override_has_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="credentialrules",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="credentials_credentialrules_deleted_has_time",
            ),
        ),
        migrations.AddIndex(
            model_name="registrycheck",
            index=models.Index(fields=["-checked_at", "id"], name="registry_check_newest"),
        ),
        migrations.AddIndex(
            model_name="registrycheck",
            index=models.Index(fields=["outcome", "-checked_at"], name="registry_check_outcome"),
        ),
        migrations.AddIndex(
            model_name="registrycheck",
            index=models.Index(fields=["source", "-checked_at"], name="registry_check_source"),
        ),
        migrations.AddConstraint(
            model_name="registrycheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="credentials_registrycheck_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="registrycheck",
            constraint=models.UniqueConstraint(
                fields=("user", "source", "edition"), name="credentials_check_once_an_edition"
            ),
        ),
        migrations.AddConstraint(
            model_name="registrycheck",
            constraint=models.CheckConstraint(
                condition=models.Q(("source__in", ["nppes", "leie"])), name="credentials_check_source_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="registrycheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("outcome__in", ["clear", "differs", "not_found", "deactivated", "perhaps_excluded", "excluded"])
                ),
                name="credentials_check_outcome_known",
            ),
        ),
    ]
