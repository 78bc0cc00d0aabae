"""The tables of the bottom app under one name, so that other apps write `core.models`."""

from backend.apps.core.models.alerts import Alert, AlertNotice, AlertSeverity
from backend.apps.core.models.beats import Heartbeat, WorkTally
from backend.apps.core.models.conservation import ReconcileRun, RowTally
from backend.apps.core.models.profile import Clinic, validate_time_zone
from backend.apps.core.models.retention import RetentionRule, RetentionRun
from backend.apps.core.models.sealing import AuditAnchor, AuditArchive, AuditCheck, AuditSeal
from backend.apps.core.models.trail import AuditLog, IdempotentRequest

__all__ = [
    "Alert", "AlertNotice", "AlertSeverity", "AuditAnchor", "AuditArchive", "AuditCheck", "AuditLog", "AuditSeal",
    "Clinic", "Heartbeat", "IdempotentRequest", "ReconcileRun", "RetentionRule", "RetentionRun",
    "RowTally", "WorkTally", "validate_time_zone",
]  # fmt: skip
