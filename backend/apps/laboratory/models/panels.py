"""What a laboratory reported under its own numbers; without this the order a result is in would depend on arrival."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core.bases import UUIDModel
from backend.apps.laboratory.models.orders import LabOrder, OrderPriority


class ReportedPanel(UUIDModel):
    """One panel (OBR) under one number of a laboratory, and all that its messages ever said about whose order it is.

    `placers` are the order numbers it was sent under, in order; with them `panels.Panels` finds the order again,
    whatever came first. `ordered_at`, `collected_at` and `priority` are the earliest and most urgent that was said.
    """

    lab_order = models.ForeignKey(LabOrder, on_delete=models.PROTECT, related_name="reported_panels")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+", db_index=False)
    sender = models.CharField(max_length=250)
    number = models.CharField(max_length=200)
    panel_code = models.CharField(max_length=200, blank=True)
    panel_text = models.TextField(blank=True)
    lab_test = models.ForeignKey(
        "laboratory.LabTest", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    placers = models.JSONField(default=list, blank=True)
    ordered_at = models.DateTimeField()
    collected_at = models.DateTimeField(null=True, blank=True)
    priority = models.CharField(max_length=7, choices=OrderPriority, default=OrderPriority.ROUTINE)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["patient", "sender", "number", "panel_code"], name="laboratory_reportedpanel_once"
            ),
            models.CheckConstraint(
                condition=Q(priority__in=OrderPriority.values), name="laboratory_reportedpanel_priority_known"
            ),
        ]

    def __str__(self) -> str:
        return f"reported panel {self.pk}"
