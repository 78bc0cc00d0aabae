"""What patients text back; without these rows an answer would be lost that no machine understands."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.roles import Role
from backend.apps.core.sealed import BlindIndex, SealedTextField, with_one_of


class ReplyIntent(models.TextChoices):
    CONFIRM = "confirm"
    RESCHEDULE = "reschedule"
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    OTHER = "other"


class ReplyOutcome(models.TextChoices):
    CONFIRMED = "confirmed", "the visit is confirmed"
    TASK = "task", "the front desk has a task"
    OPTED_OUT = "opted_out", "no more texts to this number"
    OPTED_IN = "opted_in", "texts to this number again"
    AMBIGUOUS = "ambiguous", "several people on this number; nothing was guessed"
    INBOX = "inbox", "a person reads it"
    NOTHING = "nothing", "nothing to do"


class InboundText(ClinicModel):
    """One text message from outside, once per `sid`. It waits in the inbox until somebody handled it.

    answers_id: the message of ours it answers, patient: whose it is, both only where there is no doubt.
    """

    Intent = ReplyIntent
    Outcome = ReplyOutcome

    access: ClassVar[scope.Access] = scope.Access(
        patient="patient_id", sees_all=frozenset({Role.RECEPTIONIST, Role.NURSE})
    )

    sid = models.CharField(max_length=64, unique=True, editable=False)
    from_number = SealedTextField(max_length=32, editable=False)
    from_number_index = BlindIndex("from_number", normal="phone")
    to_number = models.CharField(max_length=64, editable=False)
    body = models.TextField(blank=True, editable=False)
    intent = models.CharField(max_length=10, choices=ReplyIntent, default=ReplyIntent.OTHER, editable=False)
    outcome = models.CharField(max_length=9, choices=ReplyOutcome, default=ReplyOutcome.INBOX, editable=False)
    patient = models.ForeignKey(
        "patients.Patient", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="replies"
    )
    answers_id = models.UUIDField(null=True, blank=True, editable=False)
    received_at = models.DateTimeField(editable=False)
    handled_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    handled_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-received_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=Q(intent__in=ReplyIntent.values), name="messaging_reply_intent_known"),
            models.CheckConstraint(condition=Q(outcome__in=ReplyOutcome.values), name="messaging_reply_outcome_known"),
            models.CheckConstraint(
                condition=Q(handled_by__isnull=True) | Q(handled_at__isnull=False), name="messaging_reply_handled_when"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-received_at", "id"], name="reply_newest"),
            models.Index(
                fields=["-received_at"], name="reply_inbox", condition=Q(outcome="inbox", handled_at__isnull=True)
            ),
            models.Index(fields=["from_number_index", "-received_at"], name="reply_number"),
            models.Index(fields=["outcome", "-received_at"], name="reply_outcome"),
            models.Index(fields=["intent", "-received_at"], name="reply_intent"),
        ]

    @classmethod
    def sent_from(cls, *numbers: str) -> Q:
        """Return the condition for texts from one of these numbers."""
        return with_one_of(cls, "from_number_index", numbers)
