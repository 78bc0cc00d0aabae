"""What the clinic allows itself when it writes to patients: hours, how often, under which name."""

from __future__ import annotations

from datetime import time
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.models import Clinic
from backend.apps.core.validators import validate_language


class ContactRules(ClinicModel):
    """One row; without it the defaults hold.

    opens_at, closes_at: texts reach a patient only between them, by the patient's own clock (47 CFR 64.1200(c)(1)
    allows 8:00 to 21:00). texts_a_day, texts_a_week: to one number (health care exemption, 47 CFR 64.1200(a)(9)(iv)).
    display_name: what patients are told the clinic is called, where its real name would say too much.
    """

    access: ClassVar[scope.Access] = scope.SHARED

    display_name = models.CharField(max_length=60, blank=True)
    opens_at = models.TimeField(default=time(9))
    closes_at = models.TimeField(default=time(20))
    texts_a_day = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(20)])
    texts_a_week = models.PositiveSmallIntegerField(default=3, validators=[MinValueValidator(1), MaxValueValidator(99)])
    least_gap_hours = models.PositiveSmallIntegerField(default=4, validators=[MaxValueValidator(72)])
    default_language = models.CharField(max_length=35, default="en", validators=[validate_language])
    reply_to = models.EmailField(blank=True)

    class Meta(ClinicModel.Meta):
        ordering = ["created_at"]
        verbose_name_plural = "contact rules"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(opens_at__lt=F("closes_at")),
                name="messaging_rules_open_before_close",
                violation_error_message="The hours begin before they end.",
            ),
        ]

    @classmethod
    def current(cls) -> ContactRules:
        return cls.objects.order_by("created_at").first() or cls()

    def name_of(self, clinic: Clinic) -> str:
        """Return the name patients are told."""
        return self.display_name or clinic.name

    def mailbox_of(self, clinic: Clinic) -> str:
        """Return where patients' answers by e-mail go; empty if nowhere."""
        return self.reply_to or clinic.email

    def written_to(self, clinic: Clinic) -> str:
        """Return the mailbox to name in a message without a link: none where there is a phone to call."""
        return "" if clinic.phone else self.mailbox_of(clinic)
