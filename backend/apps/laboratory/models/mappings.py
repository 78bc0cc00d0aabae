"""What a laboratory's own codes mean here; without this a house code would stay a code nobody can order by or chart."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel


class LabCodeMapping(ClinicModel):
    """One version of what a sender's code means. A change is another row; results keep pointing to the one they used.

    feed: empty means every laboratory's. system: the sender's name for the code system; empty fits any.
    """

    access: ClassVar[scope.Access] = scope.SHARED

    feed = models.ForeignKey(
        "laboratory.LabFeed", null=True, blank=True, on_delete=models.PROTECT, related_name="code_mappings"
    )
    code = models.CharField(max_length=200)
    system = models.CharField(max_length=200, blank=True)
    lab_test = models.ForeignKey("laboratory.LabTest", on_delete=models.PROTECT, related_name="code_mappings")
    version = models.PositiveIntegerField(default=1, editable=False)
    is_current = models.BooleanField(default=True, editable=False)
    created_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["code", "-version", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["feed", "code", "system"],
                condition=Q(is_current=True, is_deleted=False),
                nulls_distinct=False,
                name="laboratory_labcodemapping_one_current",
                violation_error_message="This code has a meaning already; map it again to change it.",
            ),
            models.UniqueConstraint(
                fields=["feed", "code", "system", "version"],
                nulls_distinct=False,
                name="laboratory_labcodemapping_version_once",
            ),
            models.CheckConstraint(condition=~Q(code=""), name="laboratory_labcodemapping_names_code"),
            models.CheckConstraint(condition=Q(version__gte=1), name="laboratory_labcodemapping_version_counts"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["code", "is_current"], name="labcodemapping_code"),
            models.Index(fields=["-created_at", "id"], name="labcodemapping_newest"),
        ]

    @property
    def admin_label(self) -> str:
        return f"{self.code} v{self.version}"
