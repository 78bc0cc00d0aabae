"""Creates messages, templates, provider events, replies, links, senders and tasks."""

import backend.apps.core.bases
import backend.apps.core.validators
import datetime
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("patients", "0003_contacts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ContactRules",
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
                ("display_name", models.CharField(blank=True, max_length=60)),
                ("opens_at", models.TimeField(default=datetime.time(9, 0))),
                ("closes_at", models.TimeField(default=datetime.time(20, 0))),
                (
                    "texts_a_day",
                    models.PositiveSmallIntegerField(
                        default=1,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(20),
                        ],
                    ),
                ),
                (
                    "texts_a_week",
                    models.PositiveSmallIntegerField(
                        default=3,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(99),
                        ],
                    ),
                ),
                (
                    "least_gap_hours",
                    models.PositiveSmallIntegerField(
                        default=4, validators=[django.core.validators.MaxValueValidator(72)]
                    ),
                ),
                (
                    "default_language",
                    models.CharField(
                        default="en", max_length=35, validators=[backend.apps.core.validators.validate_language]
                    ),
                ),
                ("reply_to", models.EmailField(blank=True, max_length=254)),
            ],
            options={
                "verbose_name_plural": "contact rules",
                "ordering": ["created_at"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="messaging_contactrules_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("opens_at__lt", models.F("closes_at"))),
                        name="messaging_rules_open_before_close",
                        violation_error_message="The hours begin before they end.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MessageTemplate",
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
                    "kind",
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
                        max_length=16,
                    ),
                ),
                ("channel", models.CharField(choices=[("email", "e-mail"), ("sms", "text message")], max_length=5)),
                (
                    "language",
                    models.CharField(
                        default="en", max_length=35, validators=[backend.apps.core.validators.validate_language]
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=120)),
                ("body", models.TextField(max_length=4000)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["kind", "channel", "language", "id"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="messaging_messagetemplate_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False)),
                        fields=("kind", "channel", "language"),
                        name="messaging_template_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "reminder",
                                    "ask_to_confirm",
                                    "soon",
                                    "digest",
                                    "no_show",
                                    "recall",
                                    "waitlist_offer",
                                    "choose",
                                    "cancelled",
                                ],
                            )
                        ),
                        name="messaging_template_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("channel__in", ["email", "sms"])), name="messaging_template_channel_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("body", ""), _negated=True), name="messaging_template_says_something"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProviderEvent",
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
                ("provider", models.CharField(editable=False, max_length=12)),
                ("kind", models.CharField(editable=False, max_length=10)),
                ("attempt_id", models.CharField(blank=True, editable=False, max_length=60)),
                ("message_id", models.CharField(blank=True, editable=False, max_length=128)),
                ("provider_status", models.CharField(blank=True, editable=False, max_length=30)),
                ("error_code", models.CharField(blank=True, editable=False, max_length=40)),
                ("payload", models.JSONField(default=dict, editable=False)),
                ("occurred_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("applied", "Applied"),
                            ("unchanged", "unchanged: a later status was known"),
                            ("unmatched", "unmatched: no message of ours"),
                            ("ignored", "ignored: nothing we act on"),
                        ],
                        editable=False,
                        max_length=9,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["due_at"], name="provider_event_waiting"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")),
                        fields=["leased_until"],
                        name="provider_event_running",
                    ),
                    models.Index(
                        condition=models.Q(("attempt_id", ""), _negated=True),
                        fields=["attempt_id"],
                        name="provider_event_attempt",
                    ),
                    models.Index(
                        condition=models.Q(("message_id", ""), _negated=True),
                        fields=["message_id"],
                        name="provider_event_message",
                    ),
                    models.Index(fields=["-created_at", "id"], name="provider_event_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="messaging_providerevent_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="messaging_event_work_state_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Sender",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=120, unique=True)),
                ("channel", models.CharField(max_length=5)),
                ("rate_per_s", models.FloatField(blank=True, null=True)),
                ("burst", models.FloatField(default=10)),
                ("tokens", models.FloatField(default=10)),
                ("refilled_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("paused_until", models.DateTimeField(blank=True, null=True)),
                ("paused_since", models.DateTimeField(blank=True, null=True)),
                ("paused_code", models.CharField(blank=True, default="", max_length=60)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("refused", models.JSONField(blank=True, default=list)),
                ("probe", models.UUIDField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("rate_per_s__isnull", True), ("rate_per_s__gt", 0), _connector="OR"),
                        name="messaging_sender_rate",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="InboundText",
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
                ("sid", models.CharField(editable=False, max_length=64, unique=True)),
                ("from_number", models.CharField(editable=False, max_length=32)),
                ("to_number", models.CharField(editable=False, max_length=64)),
                ("body", models.TextField(blank=True, editable=False)),
                (
                    "intent",
                    models.CharField(
                        choices=[
                            ("confirm", "Confirm"),
                            ("reschedule", "Reschedule"),
                            ("opt_out", "Opt Out"),
                            ("opt_in", "Opt In"),
                            ("help", "Help"),
                            ("other", "Other"),
                        ],
                        default="other",
                        editable=False,
                        max_length=10,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("confirmed", "the visit is confirmed"),
                            ("task", "the front desk has a task"),
                            ("opted_out", "no more texts to this number"),
                            ("opted_in", "texts to this number again"),
                            ("ambiguous", "several people on this number; nothing was guessed"),
                            ("inbox", "a person reads it"),
                            ("nothing", "nothing to do"),
                        ],
                        default="inbox",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("answers_id", models.UUIDField(blank=True, editable=False, null=True)),
                ("received_at", models.DateTimeField(editable=False)),
                ("handled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "handled_by",
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
                    "patient",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replies",
                        to="patients.patient",
                    ),
                ),
            ],
            options={
                "ordering": ["-received_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["-received_at", "id"], name="reply_newest"),
                    models.Index(
                        condition=models.Q(("handled_at__isnull", True), ("outcome", "inbox")),
                        fields=["-received_at"],
                        name="reply_inbox",
                    ),
                    models.Index(fields=["from_number", "-received_at"], name="reply_number"),
                    models.Index(fields=["outcome", "-received_at"], name="reply_outcome"),
                    models.Index(fields=["intent", "-received_at"], name="reply_intent"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="messaging_inboundtext_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("intent__in", ["confirm", "reschedule", "opt_out", "opt_in", "help", "other"])
                        ),
                        name="messaging_reply_intent_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "outcome__in",
                                ["confirmed", "task", "opted_out", "opted_in", "ambiguous", "inbox", "nothing"],
                            )
                        ),
                        name="messaging_reply_outcome_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("handled_by__isnull", True), ("handled_at__isnull", False), _connector="OR"
                        ),
                        name="messaging_reply_handled_when",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PatientLink",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("token_sha256", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("answer", "answer a reminder"),
                            ("unsubscribe", "no more messages on this channel"),
                            ("waitlist", "take or leave an offered time"),
                            ("choose", "say which of several visits a text was about"),
                        ],
                        editable=False,
                        max_length=11,
                    ),
                ),
                ("subject_id", models.UUIDField(blank=True, editable=False, null=True)),
                ("channel", models.CharField(editable=False, max_length=5)),
                ("message_id", models.UUIDField(editable=False)),
                ("expires_at", models.DateTimeField(editable=False)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="patients.patient"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["expires_at"], name="patient_link_expires"),
                    models.Index(fields=["message_id"], name="patient_link_message"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("purpose__in", ["answer", "unsubscribe", "waitlist", "choose"])),
                        name="messaging_link_purpose_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PatientMessage",
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
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("sent", "Sent"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                            ("bounced", "Bounced"),
                            ("suppressed", "suppressed: not wanted when it was due"),
                            ("superseded", "superseded: the appointment changed first"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("status_reason", models.CharField(blank=True, editable=False, max_length=200)),
                ("scheduled_send_time", models.DateTimeField()),
                ("useful_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("lane", models.PositiveSmallIntegerField(db_default=3, default=3, editable=False)),
                ("wording", models.CharField(blank=True, db_default="", default="", editable=False, max_length=16)),
                ("sent_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("delivered_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("recipient_email", models.EmailField(blank=True, editable=False, max_length=254)),
                (
                    "recipient_phone",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=16,
                        validators=[backend.apps.core.validators.validate_phone],
                    ),
                ),
                ("external_id", models.CharField(blank=True, editable=False, max_length=128)),
                ("provider", models.CharField(blank=True, db_default="", default="", editable=False, max_length=12)),
                ("sender", models.CharField(blank=True, db_default="", default="", editable=False, max_length=120)),
                (
                    "provider_status",
                    models.CharField(blank=True, db_default="", default="", editable=False, max_length=30),
                ),
                ("error_code", models.CharField(blank=True, db_default="", default="", editable=False, max_length=40)),
                ("body_sha256", models.CharField(blank=True, db_default="", default="", editable=False, max_length=64)),
                ("segments", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ("uncertain_since", models.DateTimeField(blank=True, editable=False, null=True)),
                ("resends", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                (
                    "channel",
                    models.CharField(
                        choices=[("email", "e-mail"), ("sms", "text message"), ("push", "push message")], max_length=5
                    ),
                ),
                ("subject_id", models.UUIDField(blank=True, editable=False, null=True)),
                (
                    "digest_of",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="told_with",
                        to="messaging.patientmessage",
                    ),
                ),
                (
                    "fallback_of",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fallbacks",
                        to="messaging.patientmessage",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="messages", to="patients.patient"
                    ),
                ),
            ],
            options={
                "ordering": ["scheduled_send_time", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(
                        condition=models.Q(("work_state", "waiting")), fields=["lane", "due_at"], name="message_lane"
                    ),
                    models.Index(
                        condition=models.Q(("work_state", "running")), fields=["leased_until"], name="message_running"
                    ),
                    models.Index(
                        condition=models.Q(("uncertain_since__isnull", False)),
                        fields=["uncertain_since"],
                        name="message_uncertain",
                    ),
                    models.Index(
                        condition=models.Q(("recipient_phone", ""), _negated=True),
                        fields=["recipient_phone", "-sent_at"],
                        name="message_number",
                    ),
                    models.Index(
                        condition=models.Q(("digest_of__isnull", False)), fields=["digest_of"], name="message_digest"
                    ),
                    models.Index(
                        condition=models.Q(("external_id", ""), _negated=True),
                        fields=["external_id"],
                        name="message_external",
                    ),
                    models.Index(fields=["subject_id"], name="message_subject"),
                    models.Index(fields=["scheduled_send_time", "id"], name="message_time"),
                    models.Index(fields=["status", "scheduled_send_time"], name="message_status_time"),
                    models.Index(fields=["wording", "scheduled_send_time"], name="message_wording_time"),
                    models.Index(fields=["-created_at", "id"], name="message_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="messaging_patientmessage_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("fallback_of__isnull", False)),
                        fields=("fallback_of",),
                        name="messaging_message_one_fallback",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("channel__in", ["email", "sms", "push"])),
                        name="messaging_message_channel_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["pending", "sent", "delivered", "failed", "bounced", "suppressed", "superseded"],
                            )
                        ),
                        name="messaging_message_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("work_state__in", ["waiting", "running", "done", "failed", "held"])),
                        name="messaging_message_work_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["sent", "delivered"]), _negated=True),
                            ("sent_at__isnull", False),
                            _connector="OR",
                        ),
                        name="messaging_message_sent_has_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StaffTask",
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
                    "kind",
                    models.CharField(
                        choices=[
                            ("reschedule", "wants another time"),
                            ("call", "could not be reached; call"),
                            ("fix_contact", "phone or e-mail is wrong"),
                            ("ask_who", "an answer that several people may have given"),
                            ("unknown", "nobody knows whether a message arrived"),
                            ("recall", "due for a visit, not reachable"),
                        ],
                        editable=False,
                        max_length=11,
                    ),
                ),
                ("cause", models.CharField(editable=False, max_length=160)),
                ("subject_id", models.UUIDField(blank=True, editable=False, null=True)),
                ("sentence", models.CharField(editable=False, max_length=300)),
                ("done_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("note", models.CharField(blank=True, editable=False, max_length=300)),
                (
                    "done_by",
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
                    "patient",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="staff_tasks",
                        to="patients.patient",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["-created_at", "id"], name="staff_task_newest"),
                    models.Index(fields=["done_at", "-created_at"], name="staff_task_open"),
                    models.Index(fields=["kind", "-created_at"], name="staff_task_kind"),
                    models.Index(fields=["subject_id"], name="staff_task_subject"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="messaging_stafftask_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("done_at__isnull", True)), fields=("cause",), name="messaging_task_one_open"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind__in", ["reschedule", "call", "fix_contact", "ask_who", "unknown", "recall"])
                        ),
                        name="messaging_task_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sentence", ""), _negated=True), name="messaging_task_says_something"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("done_by__isnull", True), ("done_at__isnull", False), _connector="OR"),
                        name="messaging_task_done_when",
                    ),
                ],
            },
        ),
    ]
