"""The clinic's own words for each kind of message; without these rows only the shipped ones could be sent."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.validators import validate_language


class MessageKind(models.TextChoices):
    REMINDER = "reminder"
    ASK_TO_CONFIRM = "ask_to_confirm", "reminder that asks to confirm"
    SOON = "soon", "reminder on the day"
    DIGEST = "digest", "several visits of one family"
    NO_SHOW = "no_show", "follow-up after a missed visit"
    RECALL = "recall", "due for a visit"
    WAITLIST_OFFER = "waitlist_offer", "offer of a freed time"
    CHOOSE = "choose", "answer with a link, when a reply is not clear"
    CANCELLED = "cancelled", "a visit was cancelled"


EMAIL_ONLY = (MessageKind.CANCELLED,)  # what matters of it is the calendar file


class MessageTemplate(ClinicModel):
    """Words of one kind for one channel and language; they replace the shipped ones.

    subject: e-mail only. Variables are written {clinic}, {when}, {phone} and so on; which are known is told by
    `messaging.wording`. What a text message may hold is checked there before the row is saved.
    """

    access: ClassVar[scope.Access] = scope.SHARED

    kind = models.CharField(max_length=16, choices=MessageKind)
    channel = models.CharField(max_length=5, choices=[("email", "e-mail"), ("sms", "text message")])
    language = models.CharField(max_length=35, default="en", validators=[validate_language])
    subject = models.CharField(max_length=120, blank=True)
    body = models.TextField(max_length=4000)
    is_active = models.BooleanField(default=True)

    class Meta(ClinicModel.Meta):
        ordering = ["kind", "channel", "language", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["kind", "channel", "language"], condition=Q(is_deleted=False), name="messaging_template_once"
            ),
            models.CheckConstraint(condition=Q(kind__in=MessageKind.values), name="messaging_template_kind_known"),
            models.CheckConstraint(condition=Q(channel__in=["email", "sms"]), name="messaging_template_channel_known"),
            models.CheckConstraint(condition=~Q(body=""), name="messaging_template_says_something"),
        ]
