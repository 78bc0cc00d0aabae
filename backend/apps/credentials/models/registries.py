"""What the public registries said of somebody, edition by edition; else an excluded person would bill unnoticed."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.models import Clinic

OLD_AFTER = timedelta(days=45)  # the files come once a month
DIGITS = 16  # of a digest


class RegistrySource(models.TextChoices):
    NPPES = "nppes", "NPPES, the registry of NPIs"
    LEIE = "leie", "LEIE, the list of excluded individuals and entities"


class RegistryOutcome(models.TextChoices):
    CLEAR = "clear"
    DIFFERS = "differs", "the registry has another name, state or licence"
    NOT_FOUND = "not_found"
    DEACTIVATED = "deactivated"
    PERHAPS_EXCLUDED = "perhaps_excluded", "somebody of that name is excluded"
    EXCLUDED = "excluded"


class RegistryCheck(ClinicModel):
    """That somebody was looked up in one edition of a registry, with what was found; a person settles what is unclear.

    edition: the day of the file, as "2026-11-08", so that editions sort. finding: which fields differ, by what and in
    which lines of the file it was found, digests of those ("entries") and of the licences we have that stand there
    ("licenses"), and the day of an exclusion; nobody's name.
    loaded_at: when its edition was loaded; the one loaded last counts. settled_as: what a person decided it is, where a
    machine could not be sure; without `settled_at` it holds until they say so of another entry, too.
    """

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    user = models.ForeignKey("users.User", editable=False, on_delete=models.PROTECT, related_name="registry_checks")
    source = models.CharField(max_length=5, choices=RegistrySource, editable=False)
    edition = models.CharField(max_length=20, editable=False)
    outcome = models.CharField(max_length=16, choices=RegistryOutcome, editable=False)
    finding = models.JSONField(default=dict, blank=True, editable=False)
    checked_at = models.DateTimeField(editable=False)
    loaded_at = models.DateTimeField(editable=False)
    settled_as = models.CharField(max_length=16, choices=RegistryOutcome, blank=True, default="", editable=False)
    settled_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)
    note = models.CharField(max_length=300, blank=True, default="", editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-checked_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(fields=["user", "source", "edition"], name="credentials_check_once_an_edition"),
            models.CheckConstraint(
                condition=Q(source__in=RegistrySource.values), name="credentials_check_source_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=RegistryOutcome.values), name="credentials_check_outcome_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-checked_at", "id"], name="registry_check_newest"),
            models.Index(fields=["outcome", "-checked_at"], name="registry_check_outcome"),
            models.Index(fields=["source", "-checked_at"], name="registry_check_source"),
        ]

    def has_license(self, state: str, number: str) -> bool:
        """Return whether it is clear, of an edition that is not old, and this licence of the person stands there."""
        made_on = min(date.fromisoformat(self.edition), timezone.localdate(self.loaded_at, Clinic.current().zone))
        if Clinic.today() - made_on > OLD_AFTER or (self.settled_as or self.outcome) != RegistryOutcome.CLEAR:
            return False
        return license_digest(state, number) in self.finding.get("licenses", ())


def license_digest(state: str, number: str) -> str:
    """Return by what a licence is known again without its number, spelled as we have it."""
    return hashlib.sha256(f"{state} {number}".encode()).hexdigest()[:DIGITS]
