"""How early each type of credential is told of and what may not be done without it; else all would be treated alike."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.employees.models import CredentialType

USUAL_TIERS = (90, 60, 30, 14, 7, 1, 0)  # days before the day of expiry
EARLIEST = 730


class Needed(models.TextChoices):
    """What a doctor may not do without a credential."""

    APPOINTMENTS = "appointments", "new appointments"
    PRESCRIPTIONS = "prescriptions"
    CONTROLLED_SUBSTANCES = "controlled_substances", "prescriptions of controlled substances"
    CLAIMS = "claims", "claims for what the doctor did"


def usual_tiers() -> list[int]:
    return list(USUAL_TIERS)


def validate_tiers(value: Any) -> None:
    if not value or sorted(set(value), reverse=True) != list(value) or value[0] > EARLIEST:
        raise ValidationError(f"Write days from many to few, each once, {EARLIEST} at most: 90, 60, 30.", code="tiers")


class CredentialPolicy(ClinicModel):
    """The rules of one type of credential; a type without a row has those of `credentials.policies.USUAL`.

    tiers: days before the expiry on which one alert is raised, from many to few. weekly_after: one a week from the
    expiry on, until it is renewed. manager_from, compliance_from: the tier from which they are written to as well.
    needed_for: what a doctor may not do without it. must_be_verified: only one that a reviewer verified counts there.
    applied_to: the `updated_at` of the rules that the days of the next look were worked out by; the sweep does so.
    """

    access: ClassVar[scope.Access] = scope.SHARED

    credential_type = models.CharField(max_length=20, choices=CredentialType)
    tiers = ArrayField(
        models.PositiveSmallIntegerField(), default=usual_tiers, size=20, validators=[validate_tiers], blank=False
    )
    weekly_after = models.BooleanField(default=True)
    manager_from = models.PositiveSmallIntegerField(default=14)
    compliance_from = models.PositiveSmallIntegerField(default=1)
    needed_for = ArrayField(models.CharField(max_length=21, choices=Needed), default=list, blank=True, size=4)
    must_be_verified = models.BooleanField(default=True)
    applied_to = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["credential_type"]
        verbose_name_plural = "credential policies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["credential_type"], condition=Q(is_deleted=False), name="credentials_policy_once"
            ),
            models.CheckConstraint(
                condition=Q(credential_type__in=CredentialType.values), name="credentials_policy_type_known"
            ),
            models.CheckConstraint(
                condition=Q(needed_for__contained_by=Needed.values), name="credentials_policy_needed_known"
            ),
            models.CheckConstraint(condition=Q(tiers__len__gt=0), name="credentials_policy_has_tiers"),
        ]

    @property
    def admin_label(self) -> str:
        return str(CredentialType(self.credential_type).label)


class CredentialRules(ClinicModel):
    """One row; without it the defaults hold. compliance_officer: else the administrators are written to instead."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    compliance_officer = models.ForeignKey(
        "users.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    sends_digest = models.BooleanField(default=True, help_text="One e-mail a day to each administrator, if any is due.")

    class Meta(ClinicModel.Meta):
        ordering = ["created_at"]
        verbose_name_plural = "credential rules"

    @classmethod
    def current(cls) -> CredentialRules:
        return cls.objects.order_by("created_at").first() or cls()
