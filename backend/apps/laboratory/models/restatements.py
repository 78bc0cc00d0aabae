"""Which messages called a result final without its value; without this one that came too early would wait for ever."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from backend.apps.core.bases import UUIDModel


class Restatement(UUIDModel):
    """A message says that the preliminary value of an observation is final, and does not repeat it (OBX-11 U).

    Written where it is filed, whether there was a value or not: a preliminary value that arrives later sends the
    message back in line (`restating`).
    """

    message = models.ForeignKey(
        "laboratory.InboundMessage", on_delete=models.PROTECT, related_name="restatements", db_index=False
    )
    result_key = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["message", "result_key"], name="laboratory_restatement_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["result_key"], name="restatement_key")]

    def __str__(self) -> str:
        return f"restatement {self.pk}"
