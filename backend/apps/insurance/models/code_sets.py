"""The code lists a clinic brings; without them an edit could only look at the shape of a code."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import uuid7


class CodeSetKind(models.TextChoices):
    ICD10CM = "icd10cm", "ICD-10-CM"
    HCPCS = "hcpcs", "HCPCS level II"
    CPT = "cpt", "CPT"
    PLACE = "pos", "places of service"
    TAXONOMY = "taxonomy", "provider taxonomy"
    CARC = "carc", "claim adjustment reasons"
    RARC = "rarc", "remittance remarks"
    STATUS = "csc", "claim status"
    CATEGORY = "cscc", "claim status categories"
    MUE = "mue", "most units a day"


class CodeSet(models.Model):
    """One edition of a list. Of a kind that is not loaded only the shape of codes is checked."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=CodeSetKind)
    version = models.CharField(max_length=40)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True)
    loaded_at = models.DateTimeField(default=timezone.now)
    sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ["kind", "-valid_from"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["kind", "version"], name="insurance_codeset_once"),
            models.CheckConstraint(condition=Q(kind__in=CodeSetKind.values), name="insurance_codeset_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"


class Code(models.Model):
    """One code of an edition. facts: {"sex": "F", "age_to": 17, "most_units": 4, ...}, as far as the file says."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    id = models.BigAutoField(primary_key=True)
    code_set = models.ForeignKey(CodeSet, on_delete=models.CASCADE, related_name="codes", db_index=False)
    code = models.CharField(max_length=12)
    valid_from = models.DateField(null=True)
    valid_to = models.DateField(null=True)
    text = models.CharField(max_length=300, default="")
    facts = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["code_set", "code"], name="insurance_code_once"),
        ]

    def __str__(self) -> str:
        return self.code
