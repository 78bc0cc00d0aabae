"""How long each class of data is kept and what was removed; without these rows a purge would be somebody's script."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel

CENTURY = 36_525  # days; what is to stay for ever has no rule
HELD = Q(is_active=False) & ~Q(reason="")  # rules that a person stopped


class RetentionRule(ClinicModel):
    """How many days one class of data is kept; never fewer than the law asks for.

    data_class: a name of `core.retention`'s registry ("sessions", "provider_events"). legal_floor_days: what the law of
    the clinic's state and HIPAA ask for; nothing younger is removed whatever `keep_days` says. is_active: only then the
    purge removes, and only after a dry run of the rule as it is now (`looked_at` not before `changed_at`). reason: why
    a person let it, or bade it stop (a legal hold, say).
    """

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    data_class = models.CharField(max_length=40)
    keep_days = models.PositiveIntegerField(validators=[MaxValueValidator(CENTURY)])
    legal_floor_days = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(CENTURY)])
    legal_source = models.CharField(max_length=200, blank=True, help_text="Which law asks for it, as 45 CFR 164.316.")
    is_active = models.BooleanField(default=False)
    reason = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    changed_at = models.DateTimeField(db_default=Now(), editable=False)
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["data_class"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["data_class"], condition=Q(is_deleted=False), name="core_retentionrule_once"
            ),
            models.CheckConstraint(
                condition=Q(keep_days__gte=F("legal_floor_days")),
                name="core_retentionrule_not_below_the_floor",
                violation_error_message="This is shorter than the law asks for.",
            ),
            models.CheckConstraint(
                condition=Q(keep_days__lte=CENTURY),
                name="core_retentionrule_a_century_at_most",
                violation_error_message="Keep the data for a hundred years at most.",
            ),
        ]

    @property
    def admin_label(self) -> str:
        return self.data_class

    @property
    def is_held(self) -> bool:
        """Whether a person stopped it, for a legal hold say; one that nobody decided about is not held."""
        return not self.is_active and self.reason != ""


class RetentionRun(ClinicModel):
    """One look at one class of data: how many rows were older than `cutoff`, and how many of them were removed.

    found_in: `found` by label of their model, as {"core.Alert": 3}.
    """

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    data_class = models.CharField(max_length=40, editable=False)
    is_dry = models.BooleanField(default=True, editable=False)
    cutoff = models.DateTimeField(editable=False)
    found = models.PositiveBigIntegerField(default=0, editable=False)
    found_in = models.JSONField(default=dict, blank=True, editable=False)
    removed = models.PositiveBigIntegerField(default=0, editable=False)
    by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [SOFT_DELETE_CHECK]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["data_class", "-created_at"], name="retention_run_class"),
            models.Index(fields=["-created_at", "id"], name="retention_run_newest"),
        ]
