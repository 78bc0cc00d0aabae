"""What the front desk has to do because a machine could not; without these rows a patient's wish would be lost."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel


class TaskKind(models.TextChoices):
    RESCHEDULE = "reschedule", "wants another time"
    CALL = "call", "could not be reached; call"
    FIX_CONTACT = "fix_contact", "phone or e-mail is wrong"
    ASK_WHO = "ask_who", "an answer that several people may have given"
    UNKNOWN = "unknown", "nobody knows whether a message arrived"
    RECALL = "recall", "due for a visit, not reachable"


class StaffTask(ClinicModel):
    """One thing to do, once per open `cause`; the `sentence` names nobody.

    subject_id: the visit, recall or text it is about.
    """

    Kind = TaskKind

    access: ClassVar[scope.Access] = scope.Access(patient="patient_id")

    kind = models.CharField(max_length=11, choices=TaskKind, editable=False)
    cause = models.CharField(max_length=160, editable=False)
    patient = models.ForeignKey(
        "patients.Patient", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="staff_tasks"
    )
    subject_id = models.UUIDField(null=True, blank=True, editable=False)
    sentence = models.CharField(max_length=300, editable=False)
    done_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    done_at = models.DateTimeField(null=True, blank=True, editable=False)
    note = models.CharField(max_length=300, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-created_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["cause"], condition=Q(done_at__isnull=True), name="messaging_task_one_open"
            ),
            models.CheckConstraint(condition=Q(kind__in=TaskKind.values), name="messaging_task_kind_known"),
            models.CheckConstraint(condition=~Q(sentence=""), name="messaging_task_says_something"),
            models.CheckConstraint(
                condition=Q(done_by__isnull=True) | Q(done_at__isnull=False), name="messaging_task_done_when"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "id"], name="staff_task_newest"),
            models.Index(fields=["done_at", "-created_at"], name="staff_task_open"),
            models.Index(fields=["kind", "-created_at"], name="staff_task_kind"),
            models.Index(fields=["subject_id"], name="staff_task_subject"),
        ]
