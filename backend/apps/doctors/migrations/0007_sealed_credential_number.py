"""Lets the numbers of credentials be sealed, DEA registrations among them, with a blind index to find them by."""

from django.db import migrations

from backend.apps.core.sealed import BlindIndex, SealedTextField


class Migration(migrations.Migration):
    dependencies = [
        ("doctors", "0006_dea_number_once"),
        ("credentials", "0003_taken_over"),  # writes numbers as plain text
    ]

    operations = [
        migrations.RemoveConstraint(model_name="doctorcredential", name="doctors_credential_once"),
        migrations.AddField(
            model_name="doctorcredential", name="number_index", field=BlindIndex(of="number", normal="whole")
        ),
        migrations.AlterField(
            model_name="doctorcredential", name="number", field=SealedTextField(blank=True, max_length=60)
        ),
    ]
