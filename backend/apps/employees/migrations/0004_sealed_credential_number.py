"""Lets the numbers of credentials be sealed, DEA registrations among them, with a blind index to find them by."""

from django.db import migrations

from backend.apps.core.sealed import BlindIndex, SealedTextField


class Migration(migrations.Migration):
    dependencies = [("employees", "0003_paid_days")]

    operations = [
        migrations.RemoveConstraint(model_name="employeecredential", name="employees_credential_once"),
        migrations.AddField(
            model_name="employeecredential", name="number_index", field=BlindIndex(of="number", normal="whole")
        ),
        migrations.AlterField(
            model_name="employeecredential", name="number", field=SealedTextField(blank=True, max_length=60)
        ),
    ]
