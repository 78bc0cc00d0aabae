"""Adds review, renewal and the day of the next alert to credentials of doctors."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("doctors", "0002_covering_doctor"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="doctorcredential",
            name="next_alert_on",
            field=models.DateField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="doctorcredential",
            name="rejected_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="doctorcredential",
            name="rejected_by",
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
        migrations.AddField(
            model_name="doctorcredential",
            name="rejection_reason",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name="doctorcredential",
            name="replaced_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="replaces",
                to="doctors.doctorcredential",
            ),
        ),
        migrations.AddField(
            model_name="doctorcredential",
            name="verification_method",
            field=models.CharField(
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
        migrations.AlterField(
            model_name="doctorcredential",
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
        migrations.AddIndex(
            model_name="doctorcredential",
            index=models.Index(
                condition=models.Q(("replaced_by__isnull", False)), fields=["replaced_by"], name="credential_renewal"
            ),
        ),
        migrations.AddIndex(
            model_name="doctorcredential",
            index=models.Index(
                condition=models.Q(("next_alert_on__isnull", False)),
                fields=["next_alert_on", "id"],
                name="credential_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="doctorcredential",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("rejected_at__isnull", True), ("rejection_reason", "")),
                    models.Q(
                        ("is_verified", False),
                        ("rejected_at__isnull", False),
                        models.Q(("rejection_reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="doctors_credential_rejected_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="doctorcredential",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("replaced_by__isnull", True),
                    models.Q(("replaced_by", models.F("id")), _negated=True),
                    _connector="OR",
                ),
                name="doctors_credential_replaced_by_another",
            ),
        ),
    ]
