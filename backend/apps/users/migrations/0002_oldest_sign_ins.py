"""Adds the index by which sign-ins past their time are found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="loginsession",
            index=models.Index(
                condition=models.Q(revoked_at__isnull=True), fields=["created_at"], name="loginsession_oldest"
            ),
        ),
    ]
