"""What a laboratory reported under its own numbers; without this the order a result is in would depend on arrival."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models, router
from django.db.models import Q

from backend.apps.core.bases import UUIDModel
from backend.apps.laboratory import versions
from backend.apps.laboratory.models.orders import LabOrder, OrderPriority
from backend.apps.laboratory.models.results import LabResult


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

    @classmethod
    def make_room(cls, patient: Any, into: Any) -> None:
        """Before `patient` is merged into `into`: join the panels both have, with their results."""
        for row in cls.objects.filter(patient=patient):
            other = cls.objects.filter(
                patient=into, sender=row.sender, number=row.number, panel_code=row.panel_code
            ).first()
            if other is not None:
                row.join(other)

    def join(self, other: ReportedPanel) -> None:
        """Give everything of this panel to `other`, the same one, and remove it, with an order made for it alone."""
        versions.join(LabResult.all_objects.filter(panel=other), LabResult.all_objects.filter(panel=self))
        same = other.specimens.values("specimen_id")
        self.specimens.filter(specimen_id__in=same)._raw_delete(router.db_for_write(type(self)))
        for model in (relation.related_model for relation in self._meta.related_objects):
            model._base_manager.filter(panel=self).update(panel=other, lab_order=other.lab_order)
        other.placers = sorted({*other.placers, *self.placers})
        other.save(update_fields=["placers"])
        left = self.lab_order
        self.delete()
        if left.is_external and not left.reported_panels.exists() and not left.results.exists():
            left.delete()
