"""Holds again that a credential is on file once, by the blind index of its number."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("employees", "0005_credential_numbers_sealed")]

    operations = [
        migrations.AddConstraint(
            model_name="employeecredential",
            constraint=models.UniqueConstraint(
                fields=["employee", "credential_type", "number_index", "state", "issue_date"],
                condition=models.Q(is_deleted=False),
                name="employees_credential_once",
                violation_error_message="This credential is already on file.",
            ),
        ),
    ]
