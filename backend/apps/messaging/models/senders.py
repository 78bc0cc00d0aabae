"""How fast one sender may send and whether it is stopped; without it one bad key would burn a whole queue."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.bases import UUIDModel


class Sender(UUIDModel):
    """A token bucket and a circuit breaker, one row per sender, moved by single statements under the database's clock.

    name: the provider and our own number or address there. rate_per_s: tokens a second, None for no limit; a text of
    three segments costs three. paused_until: nothing is sent before; paused_code: why, as the provider's code.
    failures: how often in a row the provider could not be reached. refused: [key, times] of messages it refused as if
    our account were wrong while it took others, the newest last. probe: the one refused last.
    """

    name = models.CharField(max_length=120, unique=True)
    channel = models.CharField(max_length=5)
    rate_per_s = models.FloatField(null=True, blank=True)
    burst = models.FloatField(default=10)
    tokens = models.FloatField(default=10)
    refilled_at = models.DateTimeField(db_default=Now())
    paused_until = models.DateTimeField(null=True, blank=True)
    paused_since = models.DateTimeField(null=True, blank=True)
    paused_code = models.CharField(max_length=60, blank=True, default="")
    failures = models.PositiveIntegerField(default=0)
    refused = models.JSONField(default=list, blank=True)
    probe = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(rate_per_s__isnull=True) | Q(rate_per_s__gt=0), name="messaging_sender_rate"
            )
        ]

    def __str__(self) -> str:
        return f"sender {self.pk}"
