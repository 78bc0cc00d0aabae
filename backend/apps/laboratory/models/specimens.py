"""What was taken from the patient; without this nobody could tell what a result was measured in, or why it was not."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel


class LabSpecimen(ClinicModel):
    """One specimen of one reported panel, as the laboratory's newest message about it says. Source: SPM, or OBR-15.

    `specimen_id` is the laboratory's number for it; without one it is told apart by its place in the report.
    """

    access: ClassVar[scope.Access] = scope.of_patient("lab_order__patient", doctor_user="lab_order__doctor__user")

    lab_order = models.ForeignKey("laboratory.LabOrder", on_delete=models.PROTECT, related_name="specimens")
    panel = models.ForeignKey(
        "laboratory.ReportedPanel", on_delete=models.PROTECT, related_name="specimens", editable=False, db_index=False
    )
    specimen_id = models.CharField(max_length=200, editable=False)
    type_code = models.CharField(max_length=200, blank=True)
    type_text = models.TextField(blank=True)
    type_system = models.CharField(max_length=200, blank=True)
    site = models.TextField(blank=True)
    description = models.TextField(blank=True)
    collected_at = models.DateTimeField(null=True, blank=True)
    collected_until = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(null=True, blank=True)
    condition = models.TextField(blank=True)
    reject_reason = models.TextField(blank=True)
    said_at = models.DateTimeField(editable=False)  # when the message that says this was sent
    digest = models.CharField(max_length=64, editable=False)  # of what it says; decides between messages of one moment
    source_message = models.ForeignKey(
        "laboratory.InboundMessage", editable=False, on_delete=models.PROTECT, related_name="specimens"
    )

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(fields=["panel", "specimen_id"], name="laboratory_labspecimen_once"),
            models.CheckConstraint(
                condition=Q(collected_until__isnull=True) | Q(collected_at__isnull=False),
                name="laboratory_labspecimen_collected_from",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "id"], name="labspecimen_newest"),
        ]

    @property
    def is_rejected(self) -> bool:
        return bool(self.reject_reason)
