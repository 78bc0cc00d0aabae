"""Gives the numbers of members and policies columns that are sealed, and blind indexes to find them by."""

from django.db import migrations, models

from backend.apps.core.sealed import BlindIndex, SealedTextField


class Migration(migrations.Migration):
    dependencies = [
        ("insurance", "0007_sealed_tax_id"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="patientinsurance",
            name="coverage_member",
        ),
        migrations.RemoveIndex(
            model_name="patientinsurance",
            name="coverage_policy",
        ),
        migrations.AddField(
            model_name="patientinsurance",
            name="member_id_index",
            field=BlindIndex(editable=False, normal="code", null=True, of="member_id"),
        ),
        migrations.AddField(
            model_name="patientinsurance",
            name="policy_number_index",
            field=BlindIndex(editable=False, normal="code", null=True, of="policy_number"),
        ),
        migrations.AlterField(
            model_name="patientinsurance",
            name="member_id",
            field=SealedTextField(max_length=80),
        ),
        migrations.AlterField(
            model_name="patientinsurance",
            name="policy_number",
            field=SealedTextField(max_length=50),
        ),
        migrations.AlterField(
            model_name="remittanceclaim",
            name="member_id",
            field=SealedTextField(blank=True, default="", max_length=80),
        ),
        migrations.AddIndex(
            model_name="patientinsurance",
            index=models.Index(fields=["member_id_index"], name="coverage_member"),
        ),
        migrations.AddIndex(
            model_name="patientinsurance",
            index=models.Index(fields=["policy_number_index"], name="coverage_policy"),
        ),
    ]
