"""Patients who are exported together: a panel, a study; without this a Group export would have nobody to name."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel


class PatientGroup(ClinicModel):
    access: ClassVar[scope.Access] = scope.Access(sees_all=frozenset())

    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    is_active = models.BooleanField(default=True)
    patients = models.ManyToManyField(
        "patients.Patient", through="PatientGroupMember", related_name="patient_groups", blank=True
    )

    class Meta(ClinicModel.Meta):
        ordering = ["name", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=~Q(name=""), name="interop_patientgroup_named"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at", "id"], name="patientgroup_newest")]

    @property
    def admin_label(self) -> str:
        return self.name


class PatientGroupMember(UUIDModel):
    group = models.ForeignKey(PatientGroup, on_delete=models.CASCADE, related_name="members", db_index=False)
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["group", "patient"], name="interop_patientgroupmember_once")
        ]

    def __str__(self) -> str:
        return f"member {self.pk}"

    @classmethod
    def make_room(cls, patient: Any, into: Any) -> None:
        """Before the records of one person are merged: who is in a group twice is in it once."""
        PatientGroup.objects.filter(members__patient=patient).update(updated_at=timezone.now())
        theirs = cls.objects.filter(patient=into).values("group")
        cls.objects.filter(patient=patient, group__in=theirs).delete()
