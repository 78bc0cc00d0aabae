"""What the public registries said of somebody, edition by edition; else an excluded person would bill unnoticed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel


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
    which lines of the file it was found, digests of those ("entries"), and the day of an exclusion; nobody's name.
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
