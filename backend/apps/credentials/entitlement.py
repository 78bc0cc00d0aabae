"""Refuses what a doctor may not do without a credential that has lapsed; else expiry dates would be mere reminders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.credentials import policies
from backend.apps.credentials.models import CredentialOverride, CredentialPolicy, Needed
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.employees.models import CredentialType

Span = tuple[date, date]  # both days included
OF_A_STATE = (CredentialType.STATE_LICENSE, CredentialType.DEA)  # 21 CFR 1301.12: a registration is one of its state
NEUTRAL = "This doctor cannot take new appointments at the moment; please call the clinic."
FORBIDS = {
    Needed.APPOINTMENTS: "the doctor takes no new appointments",
    Needed.PRESCRIPTIONS: "the doctor cannot prescribe",
    Needed.CONTROLLED_SUBSTANCES: "the doctor cannot prescribe controlled substances",
    Needed.CLAIMS: "what the doctor does cannot be billed",
}


@dataclass(frozen=True)
class Gap:
    """A credential that a doctor needs and does not have now. forbids: what the doctor may not do without it.

    expired_on: the last day of the one that lapsed last, None where none did. covered_from_now:
    when the doctor has one again, by what is on file already. is_unseen: one of today is on file that nobody verified.
    """

    credential_type: CredentialType
    forbids: Needed
    state: str = ""
    expired_on: date | None = None
    covered_from_now: tuple[Span, ...] = ()
    is_unseen: bool = False

    @property
    def told(self) -> dict[str, str | None]:
        state = {"state": self.state} if self.state else {}
        ended = self.expired_on.isoformat() if self.expired_on else None
        return {"credential_type": str(self.credential_type), **state, "expired_on": ended}


class NotEntitled(DomainError):
    """A credential is missing. booked: what whoever catches it adds of the visits that are to move.

    Without gaps it tells of no credential, as a patient is told of none.
    """

    code = "not_entitled"

    def __init__(self, sentence: str, gaps: Sequence[Gap] = ()) -> None:
        super().__init__(sentence)
        self.gaps = gaps
        self.booked: Mapping[str, Any] = {}

    def details(self) -> dict[str, Any]:
        return {"missing": [gap.told for gap in self.gaps], **self.booked} if self.gaps else {}


def refuse_without(doctor: Doctor, *needed: Needed, on: date, by: Any) -> None:
    """Refuse unless the doctor has on that day, or today, all that is needed, or an administrator made an exception.

    Today is enough for a day to come, because a licence that will lapse before it is renewed as a rule.

    Raises:
        NotEntitled: says to staff what is missing; to a patient, or by a link, no more than to call.
    """
    found = gaps(doctor, *needed, on=on)
    if not found:
        return
    if Needed.APPOINTMENTS in needed and (by is None or by.role == Role.PATIENT):
        raise NotEntitled(NEUTRAL)
    raise NotEntitled(_sentence(doctor, found), found)


def missing(doctor: Doctor, *needed: Needed, on: date) -> list[CredentialType]:
    return [gap.credential_type for gap in gaps(doctor, *needed, on=on)]


def gaps(doctor: Doctor, *needed: Needed, on: date) -> list[Gap]:
    """Return what the doctor needs and has neither on that day nor today, without what an exception is in force for."""
    wanted, clinic = types_for(*needed), Clinic.current()
    filed = DoctorCredential.objects.filter(doctor=doctor, credential_type__in=wanted) if wanted else []
    rows = [row for row in filed if holds_in(row, clinic.state)]
    today = timezone.localdate(timezone=clinic.zone)
    held = {kind: [row for row in rows if row.credential_type == kind] for kind in wanted}
    lacking = {kind: ones for kind, ones in held.items() if not _covers(ones, wanted[kind], today, on)}
    if not lacking:
        return []
    excepted = in_force(doctor)
    found = (_gap(needed, ones, wanted[kind], today) for kind, ones in lacking.items() if kind not in excepted)
    return [replace(gap, state=gap.state or _state_for(gap.credential_type, clinic)) for gap in found]


def types_for(*needed: Needed) -> dict[str, CredentialPolicy]:
    """Return the rules of the types of credentials that one of these needs, by type."""
    every = policies.of_types().items()
    return {kind: policy for kind, policy in every if not set(needed).isdisjoint(policy.needed_for)}


def in_force(doctor: Doctor) -> set[str]:
    """Return the types for which an exception is in force at this moment."""
    now = timezone.now()
    rows = CredentialOverride.objects.filter(doctor=doctor, granted_at__lte=now, expires_at__gt=now, ended_at=None)
    return set(rows.values_list("credential_type", flat=True))


def holds_in(row: DoctorCredential, state: str) -> bool:
    """Return whether it is one for the clinic's state: those OF_A_STATE are of their own state, "" is not known."""
    return row.credential_type not in OF_A_STATE or "" in {row.state, state} or row.state == state.upper()


def name_of(kind: str) -> str:
    """Return what a type is called inside a sentence."""
    label = str(CredentialType(kind).label)
    return label if label.partition(" ")[0].isupper() else label.lower()


def _counts(row: DoctorCredential, policy: CredentialPolicy) -> bool:
    return row.rejected_at is None and (row.is_verified or not policy.must_be_verified)


def _covers(rows: Iterable[DoctorCredential], policy: CredentialPolicy, *days: date) -> bool:
    return any(_holds(row, day) for row in rows if _counts(row, policy) for day in days)


def _holds(row: DoctorCredential, day: date) -> bool:
    first, last = _span(row)
    return first <= day <= last


def _span(row: DoctorCredential) -> Span:
    return row.issue_date, row.expiry_date or date.max


def _gap(needed: Sequence[Needed], rows: Sequence[DoctorCredential], policy: CredentialPolicy, today: date) -> Gap:
    counted = [row for row in rows if _counts(row, policy)]
    over = [row for row in rows if row.rejected_at is None and row.is_expired_on(today)]  # checked or not, it is over
    last = max(over, key=lambda row: row.expiry_date or date.max, default=None)
    return Gap(
        CredentialType(policy.credential_type),
        forbids=next(one for one in needed if one in policy.needed_for),
        state=last.state if last else "",
        expired_on=last.expiry_date if last else None,
        covered_from_now=tuple(_span(row) for row in counted if row.issue_date > today),
        is_unseen=any(row.rejected_at is None and _holds(row, today) for row in rows),
    )


def _state_for(kind: CredentialType, clinic: Clinic) -> str:
    return clinic.state.upper() if kind in OF_A_STATE else ""


def _sentence(doctor: Doctor, found: Sequence[Gap]) -> str:
    lacking = " and ".join(_lacks(gap) for gap in found)
    until = "it is verified" if all(gap.is_unseen for gap in found) else "a valid one is on file"
    return f"For {doctor.full_name} {lacking}; {FORBIDS[found[0].forbids]} until {until}."


def _lacks(gap: Gap) -> str:
    state = f" ({gap.state})" if gap.state else ""
    name = name_of(gap.credential_type)
    if gap.is_unseen:
        return f"the {name} on file is not verified yet"
    return f"the {name}{state} ended on {gap.expired_on}" if gap.expired_on else f"no valid {name}{state} is on file"
