"""Names that findings had once; without this nobody who knew one would be told that it is gone."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from backend.apps.core.bases import UUIDModel


class DroppedFinding(UUIDModel):
    """The name an observation had until two records were merged that both had it."""

    result_key = models.CharField(max_length=64, unique=True)
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+", db_index=False)
    dropped_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["dropped_at"], name="droppedfinding_when")]

    def __str__(self) -> str:
        return f"dropped finding {self.pk}"
