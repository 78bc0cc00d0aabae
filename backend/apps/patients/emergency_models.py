"""Records that a doctor opened though nothing links the patient to them; else an emergency had to wait for a link."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length, Now, Trim
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from backend.apps.core import emergency, scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel

OPEN_FOR = timedelta(minutes=60)
SHORTEST_REASON = 10  # characters
REVIEWED_WITHIN = timedelta(days=7)  # of the end


class Verdict(models.TextChoices):
    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified", "not justified"


class EmergencyAccess(ClinicModel):
    """One opening of one patient's record by one doctor, from `started_at` until `ends_at` by the database's clock.

    While it is open the patient counts as the doctor's own (`core.scope`). `verdict` is what the review said of it.
    kept_links: rows that link the patient to the doctor whatever the verdict, for they are no part of the look.
    """

    Verdict = Verdict

    access: ClassVar[scope.Access] = scope.Access(patient="patient_id", sees_all=frozenset(), owners=("user",))

    user = models.ForeignKey("users.User", editable=False, on_delete=models.PROTECT, related_name="emergency_accesses")
    patient = models.ForeignKey(
        "patients.Patient", editable=False, on_delete=models.PROTECT, related_name="emergency_accesses"
    )
    reason = models.CharField(max_length=500, editable=False)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    ends_at = models.DateTimeField(editable=False)
    ended_by_merge = models.BooleanField(default=False, db_default=False, editable=False)
    verdict = models.CharField(max_length=13, choices=Verdict, blank=True, default="", editable=False)
    review_note = models.CharField(max_length=1000, blank=True, default="", editable=False)
    reviewed_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True, editable=False)
    kept_links = ArrayField(models.UUIDField(), default=list, db_default=[], editable=False)

    class Meta(ClinicModel.Meta):
        verbose_name_plural = "emergency accesses"
        ordering = ["-started_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(
                condition=Q(ends_at__gte=F("started_at")) & Q(ends_at__lte=F("started_at") + OPEN_FOR),
                name="patients_emergency_an_hour",
            ),
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Length(Trim("reason")), SHORTEST_REASON),
                name="patients_emergency_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(verdict="", reviewed_at__isnull=True, reviewed_by__isnull=True, review_note="")
                | (
                    Q(verdict__in=Verdict.values, reviewed_at__isnull=False, reviewed_by__isnull=False)
                    & ~Q(reviewed_by=F("user"))
                ),
                name="patients_emergency_reviewed_by_another",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-ends_at"], name="emergency_open"),
            models.Index(fields=["-started_at", "id"], name="emergency_newest"),
            models.Index(fields=["ends_at"], name="emergency_unreviewed", condition=Q(verdict="")),
        ]

    def links(self, patient: Any = None) -> list[models.QuerySet[Any]]:
        """Return the rows of each kind since the opening that link the doctor to the patient, or to another one."""
        since = self.started_at - emergency.GRACE
        written = {"patient": patient or self.patient_id, "doctor__user": self.user_id, "created_at__gte": since}
        return [apps.get_model(label)._base_manager.filter(**written) for label in scope.CARE_LINKS]

    @classmethod
    def keep_links(cls, patient: Any, into: Any) -> None:
        """Before two records become one: note what links the doctor to that of the two which was not looked at."""
        looks = cls.objects.filter(patient__in=[patient, into]).exclude(verdict=Verdict.JUSTIFIED).order_by("pk")
        for look in looks.select_for_update(no_key=True):
            other = into if look.patient_id == patient.pk else patient
            look.kept_links += [key for rows in look.links(other) for key in rows.values_list("pk", flat=True)]
            look.save(update_fields=["kept_links", "updated_at"])

    @classmethod
    def make_room(cls, patient: Any, into: Any) -> None:
        """Before a record is merged into another one: end what is open of it, for the other one was not opened."""
        open_ones = cls.objects.filter(patient=patient, ends_at__gt=Now())
        open_ones.update(ends_at=Now(), ended_by_merge=True, updated_at=timezone.now())
