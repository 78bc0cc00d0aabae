"""Who was given whose data, when and why: the accounting that a patient may ask for (45 CFR 164.528)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel


class Disclosure(ClinicModel):
    """One export as an accounting tells it. Rows are only added; `patients` of it stand in `DisclosedPatient`."""

    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    job = models.OneToOneField("interop.ExportJob", editable=False, on_delete=models.PROTECT, related_name="disclosure")
    recipient = models.CharField(max_length=254, editable=False)
    purpose = models.CharField(max_length=300, blank=True, editable=False)
    resource_types = models.JSONField(default=list, editable=False)
    changed_since = models.DateTimeField(null=True, blank=True, editable=False)
    disclosed_at = models.DateTimeField(db_default=Now(), editable=False)
    patients_count = models.PositiveIntegerField(default=0, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-disclosed_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=~Q(recipient=""), name="interop_disclosure_to_whom"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-disclosed_at", "id"], name="disclosure_newest"),
            models.Index(fields=["-created_at", "id"], name="disclosure_made"),
        ]


class DisclosedPatient(models.Model):
    """A patient something of whom was in an export; no more than the two keys, for there are many."""

    id = models.BigAutoField(primary_key=True)
    disclosure = models.ForeignKey(Disclosure, on_delete=models.PROTECT, related_name="patients", db_index=False)
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["patient", "disclosure"], name="interop_disclosedpatient_once")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["disclosure"], name="disclosedpatient_of")]

    def __str__(self) -> str:
        return f"disclosed patient {self.pk}"

    @classmethod
    def make_room(cls, patient: Any, into: Any) -> None:
        """Before the records of one person are merged: what was told of both in one export is one disclosure."""
        theirs = cls.objects.filter(patient=into).values("disclosure")
        cls.objects.filter(patient=patient, disclosure__in=theirs).delete()
