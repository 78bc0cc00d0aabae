"""Adds the policy table, and what a reminder must know to be found again at its provider."""

import backend.apps.core.bases
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="appointment",
            name="calendar_id",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="appointment",
            name="calendar_before",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddIndex(
            model_name="appointment",
            index=models.Index(
                condition=models.Q(("calendar_id__isnull", False)), fields=["calendar_id"], name="appointment_calendar"
            ),
        ),
        migrations.CreateModel(
            name="ReminderPolicy",
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
                    "appointment_type",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("consultation", "Consultation"),
                            ("follow_up", "Follow Up"),
                            ("procedure", "Procedure"),
                            ("lab_work", "Lab Work"),
                            ("vaccination", "Vaccination"),
                            ("telemedicine", "Telemedicine"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "offset_days",
                    models.PositiveSmallIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(90)]
                    ),
                ),
                (
                    "offset_hours",
                    models.PositiveSmallIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(240)]
                    ),
                ),
                ("channel", models.CharField(choices=[("email", "e-mail"), ("sms", "text message")], max_length=5)),
                (
                    "order",
                    models.PositiveSmallIntegerField(
                        default=1, help_text="1 is tried first; 2 when 1 cannot reach the patient."
                    ),
                ),
                (
                    "wording",
                    models.CharField(
                        choices=[
                            ("reminder", "Reminder"),
                            ("ask_to_confirm", "reminder that asks to confirm"),
                            ("soon", "reminder on the day"),
                            ("digest", "several visits of one family"),
                            ("no_show", "follow-up after a missed visit"),
                            ("recall", "due for a visit"),
                            ("waitlist_offer", "offer of a freed time"),
                            ("choose", "answer with a link, when a reply is not clear"),
                            ("cancelled", "a visit was cancelled"),
                        ],
                        default="reminder",
                        max_length=16,
                    ),
                ),
                (
                    "condition",
                    models.CharField(
                        choices=[
                            ("always", "Always"),
                            ("unless_confirmed", "unless confirmed; always for telemedicine"),
                        ],
                        default="always",
                        max_length=16,
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "verbose_name_plural": "reminder policies",
                "ordering": ["appointment_type", "-offset_days", "-offset_hours", "order", "id"],
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="body_sha256",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="digest_of",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="told_with",
                to="appointments.appointmentreminder",
            ),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="error_code",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=40),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="fallback_of",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="fallbacks",
                to="appointments.appointmentreminder",
            ),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="lane",
            field=models.PositiveSmallIntegerField(db_default=3, default=3, editable=False),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="provider",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=12),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="provider_status",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=30),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="resends",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="segments",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="sender",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=120),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="uncertain_since",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="useful_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="appointmentreminder",
            name="wording",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=16),
        ),
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("work_state", "waiting")), fields=["lane", "due_at"], name="reminder_lane"
            ),
        ),
        migrations.RemoveIndex(model_name="appointmentreminder", name="reminder_waiting"),
        migrations.RemoveIndex(model_name="appointmentreminder", name="reminder_work_state"),
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("work_state", "waiting"), _negated=True),
                fields=["work_state", "scheduled_send_time"],
                name="reminder_work_state",
            ),
        ),
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("uncertain_since__isnull", False)),
                fields=["uncertain_since"],
                name="reminder_uncertain",
            ),
        ),
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("recipient_phone", ""), _negated=True),
                fields=["recipient_phone", "-sent_at"],
                name="reminder_number",
            ),
        ),
        migrations.AddIndex(
            model_name="appointmentreminder",
            index=models.Index(
                condition=models.Q(("digest_of__isnull", False)), fields=["digest_of"], name="reminder_digest"
            ),
        ),
        migrations.AddConstraint(
            model_name="appointmentreminder",
            constraint=models.UniqueConstraint(
                condition=models.Q(("fallback_of__isnull", False)),
                fields=("fallback_of",),
                name="appointments_reminder_one_fallback",
            ),
        ),
        migrations.AddConstraint(
            model_name="reminderpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                    models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                    _connector="OR",
                ),
                name="appointments_reminderpolicy_deleted_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="reminderpolicy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_deleted", False)),
                fields=("appointment_type", "offset_days", "offset_hours", "channel"),
                name="appointments_policy_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="reminderpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "appointment_type__in",
                        ["", "consultation", "follow_up", "procedure", "lab_work", "vaccination", "telemedicine"],
                    )
                ),
                name="appointments_policy_type_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="reminderpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("channel__in", ["email", "sms"])), name="appointments_policy_channel_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="reminderpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("offset_days__gt", 0), ("offset_hours__gt", 0), _connector="OR"),
                name="appointments_policy_before",
                violation_error_message="A reminder is at least one hour before the visit.",
            ),
        ),
    ]
