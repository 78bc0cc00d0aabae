"""What a provider reported, as it came; without these rows a report that overtakes our commit would be lost."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.sealed import BlindIndex, SealedJSONField, SealedTextField
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class EventOutcome(models.TextChoices):
    APPLIED = "applied"
    UNCHANGED = "unchanged", "unchanged: a later status was known"
    UNMATCHED = "unmatched", "unmatched: no message of ours"
    IGNORED = "ignored", "ignored: nothing we act on"


class ProviderEvent(ClinicModel, WorkItem):
    """One webhook call or one event of a batch. `dedupe_key` names it by the provider's own ids: twice is one row.

    kind: "status" or "inbound" of Twilio, "event" of SendGrid. attempt_id: which try of which message it is about,
    from the callback's address or the mail's own arguments. payload: the fields as they came, of a text those that
    are read; they hold numbers and texts, so no list shows them. mailbox: whose reader did what a mail event tells of.
    """

    task_name: ClassVar[str] = "provider_events.apply"
    replay_safe: ClassVar[bool] = True
    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    provider = models.CharField(max_length=12, editable=False)
    kind = models.CharField(max_length=10, editable=False)
    attempt_id = models.CharField(max_length=60, blank=True, editable=False)
    message_id = models.CharField(max_length=128, blank=True, editable=False)  # the provider's name for the message
    provider_status = models.CharField(max_length=30, blank=True, editable=False)
    error_code = models.CharField(max_length=40, blank=True, editable=False)
    payload = SealedJSONField(default=dict, editable=False)
    mailbox = SealedTextField(max_length=254, blank=True, default="", db_default="", editable=False)
    mailbox_index = BlindIndex("mailbox", normal="email")
    occurred_at = models.DateTimeField(null=True, blank=True, editable=False)  # as the provider says
    outcome = models.CharField(max_length=9, choices=EventOutcome, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="messaging_event_work_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            *work_indexes("provider_event"),
            models.Index(fields=["attempt_id"], name="provider_event_attempt", condition=~Q(attempt_id="")),
            models.Index(fields=["message_id"], name="provider_event_message", condition=~Q(message_id="")),
            models.Index(fields=["-created_at", "id"], name="provider_event_newest"),
        ]
