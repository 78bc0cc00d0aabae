"""Lets a freed time be offered anew to those whose offer ended because the doctor might not be booked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0006_stuck_work"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="waitlistoffer",
            name="appointments_offer_once",
        ),
        migrations.RemoveConstraint(
            model_name="waitlistoffer",
            name="appointments_offer_status_known",
        ),
        migrations.AlterField(
            model_name="waitlistoffer",
            name="status",
            field=models.CharField(
                choices=[
                    ("offered", "Offered"),
                    ("accepted", "Accepted"),
                    ("declined", "Declined"),
                    ("expired", "Expired"),
                    ("lapsed", "lapsed: the doctor may not be booked"),
                ],
                default="offered",
                editable=False,
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "lapsed"), _negated=True),
                fields=("slot", "entry"),
                name="appointments_offer_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitlistoffer",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["offered", "accepted", "declined", "expired", "lapsed"])),
                name="appointments_offer_status_known",
            ),
        ),
    ]
