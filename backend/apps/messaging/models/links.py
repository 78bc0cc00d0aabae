"""The secret addresses patients get; without these rows a link could not expire, nor stand for one purpose only."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.bases import UUIDModel


class LinkPurpose(models.TextChoices):
    ANSWER = "answer", "answer a reminder"
    UNSUBSCRIBE = "unsubscribe", "no more messages on this channel"
    WAITLIST = "waitlist", "take or leave an offered time"
    CHOOSE = "choose", "say which of several visits a text was about"


class PatientLink(UUIDModel):
    """One token for one purpose, one patient and one subject: a visit (answer, unsubscribe, choose) or an offer.

    Only the token's SHA-256 is kept. message_id: the message that carried it.
    """

    Purpose = LinkPurpose

    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    purpose = models.CharField(max_length=11, choices=LinkPurpose, editable=False)
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+")
    subject_id = models.UUIDField(null=True, blank=True, editable=False)
    channel = models.CharField(max_length=5, editable=False)
    message_id = models.UUIDField(editable=False)
    expires_at = models.DateTimeField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(purpose__in=LinkPurpose.values), name="messaging_link_purpose_known")
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="patient_link_expires"),
            models.Index(fields=["message_id"], name="patient_link_message"),
        ]

    def __str__(self) -> str:
        return f"patient link {self.pk}"
