"""What an e-mail about one credential says, and whether it is still worth sending; else people would read old news."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from django.conf import settings

from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.credentials import policies
from backend.apps.credentials.models import Audience, CredentialAlert, CredentialNotice, Needed
from backend.apps.employees.models import CredentialType, Employee

RECORD = "record on file"
CALLED = {
    CredentialType.STATE_LICENSE: "state license",
    CredentialType.DEA: "DEA registration",
    CredentialType.BOARD_CERTIFICATION: "board certification",
    CredentialType.MALPRACTICE: "malpractice insurance",
    CredentialType.BLS: "basic life support certificate",
    CredentialType.ACLS: "advanced cardiac life support certificate",
    CredentialType.HIPAA_TRAINING: "HIPAA training",
    CredentialType.IMMUNIZATION: RECORD,  # what of somebody's health it is stays out of e-mails
    CredentialType.OTHER: RECORD,
}


class Words(NamedTuple):
    subject: str
    text: str


def why_not(notice: CredentialNotice) -> str | None:
    """Return why an e-mail must not go out now; None when it must."""
    recipient, alert = notice.recipient, notice.alert
    if not recipient.is_active or recipient.is_deleted:
        return "the login of who was to be told is closed"
    if alert is None:
        return _why_no_digest(notice)
    if alert.closed_at is not None:
        return f"closed: {alert.get_closed_because_display()}"
    return _why_not_of(notice, alert.credential.holder)


def _why_not_of(notice: CredentialNotice, holder: Any) -> str | None:
    file = Employee.objects.filter(user=holder.user_id).select_related("manager", "department__head").first()
    if (
        holder.is_deleted or not holder.user.is_active or holder.user.is_deleted
        or (file is not None and file.has_ended)
    ):  # fmt: skip
        return "whose credential it is has left"
    if not _is_concerned(notice, holder, file):
        return "who was to be told has nothing to do with it any more"
    return None


def _is_concerned(notice: CredentialNotice, holder: Any, file: Employee | None) -> bool:
    """Return whether it is still the recipient who holds it, manages who does, or sees to the rules."""
    if notice.audience == Audience.HOLDER:
        return notice.recipient_id == holder.user_id
    if notice.audience == Audience.COMPLIANCE:
        return notice.recipient.role == Role.ADMIN
    bosses = (file.manager, file.department.head if file.department else None) if file else ()
    return notice.recipient_id in {boss.user_id for boss in bosses if boss is not None}


def _why_no_digest(notice: CredentialNotice) -> str | None:
    if notice.recipient.role != Role.ADMIN:
        return "who was to be told is no administrator any more"
    later = CredentialNotice.objects.filter(recipient=notice.recipient_id, alert=None, day__gt=notice.day)
    return "there is one of a later day" if later.exists() else None


def write(notice: CredentialNotice, alert: CredentialAlert, *, clinic: Clinic, today: date) -> Words:
    credential, policy = alert.credential, policies.of_types()[alert.credential_type]
    what, when = called(credential), told_when(credential.expiry_date, today)
    whose = "your" if notice.audience == Audience.HOLDER else f"{credential.holder.full_name}'s"
    lines = [
        f"{clinic.name}: {whose} {what} {when}, on {credential.expiry_date:%B} {credential.expiry_date:%-d, %Y}.",
        *_consequence(alert, policy.needed_for, today),
        f"Please see to it that it is renewed and that the new document is filed: {_link(credential, notice.audience)}",
        *(["This is told again until a renewed one is on file."] if policy.weekly_after else []),
    ]
    return Words(f"{whose[0].upper()}{whose[1:]} {what} {when}", "\n\n".join(lines) + "\n")


def called(credential: Any) -> str:
    """Return what a credential is called in an e-mail."""
    name = CALLED[CredentialType(credential.credential_type)]
    return f"{name} ({credential.state})" if credential.state and name != RECORD else name


def told_when(expiry: date, today: date) -> str:
    days = (expiry - today).days
    if days == 0:
        return "expires today"
    spell = f"{abs(days):,} {'day' if abs(days) == 1 else 'days'}"
    return f"expires in {spell}" if days > 0 else f"expired {spell} ago"


def _consequence(alert: CredentialAlert, needed: list[str], today: date) -> list[str]:
    """Tell what a doctor may not do without it."""
    if alert.doctor_credential is None or not needed:
        return []
    since = "Since then" if alert.credential.expiry_date < today else "From the day after"
    barred = " and ".join(", ".join(str(Needed(one).label).lower() for one in needed).rsplit(", ", 1))
    return [f"{since} the clinic's computer refuses {barred} where no other valid one is on file."]


def _link(credential: Any, audience: str) -> str:
    """Return where the holder renews it, or where all of it is seen by whoever sees to that."""
    if audience != Audience.HOLDER:
        return f"{settings.PUBLIC_BASE_URL}/console/credentials/{credential.pk}/"
    at = credential._meta
    return f"{settings.PUBLIC_BASE_URL}/admin/{at.app_label}/{at.model_name}/{credential.pk}/change/"
