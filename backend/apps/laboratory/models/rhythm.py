"""When a feed usually speaks; without this a laboratory that is closed on Sunday would ring an alarm every week."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from backend.apps.core.bases import TimeStampedModel, UUIDModel


class FeedRhythm(UUIDModel, TimeStampedModel):
    """What a feed's last eight weeks of messages teach; see `laboratory.silence` for the rule.

    shares: 168 numbers from Monday 0:00 in the feed's own zone: in which part of the weeks that hour had a message.
    usual_gap: the longest usual time between two messages, in busy hours; empty where there is too little to learn.
    messages: how many it was learned from.
    """

    feed = models.OneToOneField("laboratory.LabFeed", on_delete=models.CASCADE, related_name="rhythm")
    shares = models.JSONField(default=list)
    usual_gap = models.FloatField(null=True)
    messages = models.PositiveIntegerField(default=0)
    learned_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = []

    def __str__(self) -> str:
        return f"rhythm {self.pk}"
