"""Adds credentials of employees."""

import backend.apps.core.bases
import backend.apps.core.documents
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("employees", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EmployeeCredential",
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
                ("issuing_organization", models.CharField(max_length=160)),
                ("number", models.CharField(blank=True, max_length=60)),
                (
                    "state",
                    models.CharField(
                        blank=True,
                        max_length=2,
                        validators=[django.core.validators.RegexValidator("^[A-Z]{2}$", "Two capital letters, as NY.")],
                    ),
                ),
                ("issue_date", models.DateField()),
                ("expiry_date", models.DateField(blank=True, null=True)),
                (
                    "document",
                    models.FileField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("credentials", "document"),
                        validators=[backend.apps.core.documents.validate_document],
                    ),
                ),
                ("is_verified", models.BooleanField(default=False, editable=False)),
                ("verified_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "verification_method",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("document", "the document was seen"),
                            ("issuer", "whoever issued it was asked"),
                            ("registry", "a public registry has it"),
                        ],
                        db_default="",
                        default="",
                        editable=False,
                        max_length=8,
                    ),
                ),
                ("rejected_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "rejection_reason",
                    models.CharField(blank=True, db_default="", default="", editable=False, max_length=300),
                ),
                ("next_alert_on", models.DateField(blank=True, editable=False, null=True)),
                (
                    "employee",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="credentials", to="employees.employee"
                    ),
                ),
                (
                    "rejected_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "replaced_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replaces",
                        to="employees.employeecredential",
                    ),
                ),
                (
                    "verified_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["expiry_date", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_deleted", False)),
                        fields=["expiry_date"],
                        name="staff_credential_expiry",
                    ),
                    models.Index(fields=["credential_type", "expiry_date"], name="staff_credential_type_expiry"),
                    models.Index(fields=["is_verified"], name="staff_credential_verified"),
                    models.Index(
                        condition=models.Q(("next_alert_on__isnull", False)),
                        fields=["next_alert_on", "id"],
                        name="staff_credential_due",
                    ),
                    models.Index(
                        condition=models.Q(("replaced_by__isnull", False)),
                        fields=["replaced_by"],
                        name="staff_credential_renewal",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_employeecredential_deleted_has_time",
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
                        name="employees_credential_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expiry_date__isnull", True), ("expiry_date__gt", models.F("issue_date")), _connector="OR"
                        ),
                        name="employees_credential_expires_after",
                        violation_error_message="The expiry date is not after the issue date.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("is_verified", False), ("verified_at__isnull", True), ("verified_by__isnull", True)
                            ),
                            models.Q(("is_verified", True), ("verified_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="employees_credential_verified_when",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("rejected_at__isnull", True), ("rejection_reason", "")),
                            models.Q(
                                ("is_verified", False),
                                ("rejected_at__isnull", False),
                                models.Q(("rejection_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="employees_credential_rejected_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("replaced_by__isnull", True),
                            models.Q(("replaced_by", models.F("id")), _negated=True),
                            _connector="OR",
                        ),
                        name="employees_credential_replaced_by_another",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False), models.Q(("number", ""), _negated=True)),
                        fields=("employee", "credential_type", "number", "state", "issue_date"),
                        name="employees_credential_once",
                        violation_error_message="This credential is already on file.",
                    ),
                ],
            },
        ),
    ]
