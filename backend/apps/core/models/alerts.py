"""What is wrong and who was told of it; without these rows a watcher's finding would be a line in a log."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, UUIDModel
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class AlertSeverity(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(ClinicModel):
    """Something that is wrong and that a person has to know of: one open row per `cause`, whoever notices it again.

    `cause` names what is wrong ("feed silent:<feed id>"), `kind` what sort of thing that is, beginning with the part of
    the clinic ("lab_feed_silent"); `sentence` tells a person. None of them holds a patient's data. `times` counts how
    often it began or became worse, `last_seen_at` is when a machine last found it so. Resolved without `resolved_by`:
    it went away. notice: the e-mail to whoever is on call that tells of it, or told of it last. told_at, tellings: when
    one left last that told of it, and how many did. news_at: when it began last, or became worse; who acknowledged it
    before does not yet know.
    """

    Severity = AlertSeverity

    access: ClassVar[scope.Access] = scope.Access(
        sees_all=frozenset(), common=Q(kind__startswith="lab_")
    )  # the administrator sees all, the laboratory its own

    cause = models.CharField(max_length=160, editable=False)
    kind = models.CharField(max_length=60, editable=False, validators=[RegexValidator(r"^[a-z]+(_[a-z]+)+$")])
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING, editable=False)
    subject_type = models.CharField(max_length=60, blank=True, editable=False)
    subject_id = models.CharField(max_length=64, blank=True, editable=False)
    sentence = models.CharField(max_length=300, editable=False)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    times = models.PositiveIntegerField(default=1, editable=False)
    acknowledged_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True, editable=False)
    resolved_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True, editable=False)
    notice = models.ForeignKey(
        "core.AlertNotice", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="alerts"
    )
    news_at = models.DateTimeField(null=True, blank=True, editable=False)
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    tellings = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["-opened_at", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["cause"], condition=Q(resolved_at__isnull=True), name="core_alert_one_open"
            ),
            models.CheckConstraint(condition=Q(severity__in=AlertSeverity.values), name="core_alert_severity_known"),
            models.CheckConstraint(condition=~Q(sentence=""), name="core_alert_says_something"),
            models.CheckConstraint(
                condition=Q(acknowledged_by__isnull=True) | Q(acknowledged_at__isnull=False),
                name="core_alert_acknowledged_when",
            ),
            models.CheckConstraint(
                condition=Q(resolved_by__isnull=True) | Q(resolved_at__isnull=False),
                name="core_alert_resolved_when",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["cause", "-resolved_at"], name="alert_cause"),
            models.Index(fields=["kind", "-opened_at"], name="alert_kind"),
            models.Index(fields=["severity", "-opened_at"], name="alert_severity"),
            models.Index(fields=["subject_id"], name="alert_subject", condition=~Q(subject_id="")),
            models.Index(fields=["-opened_at", "id"], name="alert_newest"),
            models.Index(fields=["resolved_at", "-opened_at"], name="alert_resolved"),
        ]

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None


class AlertNotice(UUIDModel, WorkItem):
    """One e-mail to whoever is on call, about all alerts that opened in one short span; so a storm is one mail.

    What it tells is decided when it is due: what went away meanwhile is not told. told: by address, how the mail to it
    ended, so that one that is tried again goes only where none has left.
    """

    task_name: ClassVar[str] = "alerts.notify"
    replay_safe: ClassVar[bool] = False

    opened_from = models.DateTimeField(editable=False)
    opened_until = models.DateTimeField(editable=False)
    recipients = models.PositiveSmallIntegerField(default=0, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    told = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ["-opened_from"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(work_state__in=WorkState.values), name="core_alertnotice_work_state_known"
            ),
            models.CheckConstraint(
                condition=Q(opened_from__lt=models.F("opened_until")), name="core_alertnotice_has_a_span"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = work_indexes("alert_notice")

    def __str__(self) -> str:
        return f"notice of alerts {self.pk}"
