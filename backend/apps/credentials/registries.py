"""What public registries say of the staff, and who may not bill for it; else an exclusion would be a line in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.credentials.models import RegistryCheck, RegistryOutcome, RegistrySource
from backend.apps.credentials.models.registries import OLD_AFTER

EXCLUDED_ALERT, DOUBT_ALERT, OLD_ALERT = "credential_excluded", "credential_registry", "registry_file_old"
SHORT = {RegistrySource.NPPES: "NPPES", RegistrySource.LEIE: "LEIE"}
DOUBTS = {
    RegistryOutcome.PERHAPS_EXCLUDED: "somebody of the name of staff member {user} is excluded; say whether it is them",
    RegistryOutcome.DEACTIVATED: "the NPI of staff member {user} is deactivated",
    RegistryOutcome.NOT_FOUND: "the NPI of staff member {user} is not there",
    RegistryOutcome.DIFFERS: "the entry of staff member {user} has another name or licence",
}
WRITTEN = (
    "outcome", "finding", "checked_at", "loaded_at", "settled_as", "settled_by", "settled_at", "note", "updated_at",
)  # fmt: skip
EXCLUDED = (
    "Staff member {user} is excluded from federal health programs (LEIE, edition {edition}): no claim for what they do "
    "goes out."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one edition says of one login's person. finding: as in `RegistryCheck`."""

    user: UUID
    outcome: str
    finding: Mapping[str, Any]


@transaction.atomic
def note(source: str, edition: str, answers: Sequence[Answer], *, loaded_at: datetime) -> Counter[str]:
    """Keep one check of each person and edition, and what it says now; return how many by outcome.

    loaded_at: when the edition was loaded; the one that was loaded last counts, though its day be an earlier one.
    Safe to repeat: what is as it was is not written. What a person settled stays settled while the same entry says the
    same, in later editions too; who settles one of these waits until then, and is waited for.
    """
    users = [answer.user for answer in answers]
    known = {row.user_id: row for row in _locked(_latest(source, users))}
    of_edition = RegistryCheck.objects.filter(source=source, edition=edition, user__in=users)
    stored = {row.user_id: row for row in _locked(of_edition)}
    new, changed = list[RegistryCheck](), list[RegistryCheck]()
    for answer in answers:
        row = stored.get(answer.user)
        if row is None:
            row = RegistryCheck(user_id=answer.user, source=source, edition=edition)
            new.append(row)
        elif (row.outcome, row.finding, row.loaded_at) != (answer.outcome, dict(answer.finding), loaded_at):
            changed.append(row)
        else:
            continue
        _fill(row, answer, known.get(answer.user))
        row.loaded_at = loaded_at
    RegistryCheck.objects.bulk_create(new, ignore_conflicts=True)
    RegistryCheck.objects.bulk_update(changed, WRITTEN)
    return Counter(str(answer.outcome) for answer in answers)


@transaction.atomic
def settle(check: RegistryCheck, *, by: Any, settled_as: str, note: str) -> RegistryCheck:
    """Say what it is where the registry alone could not: an exclusion, or another person of that name."""
    if by is not None and check.user_id == by.pk:
        raise DomainError("Somebody else has to settle what a registry says of you.")
    check = _locked(RegistryCheck.objects.filter(pk=check.pk)).get()
    if _latest(check.source, [check.user_id]).get().pk != check.pk:
        raise DomainError("A newer edition of the registry has been looked at; settle that one.")
    if settled_as not in {RegistryOutcome.CLEAR, _worst(check)}:
        raise DomainError(f"This can be settled as {RegistryOutcome.CLEAR} or {_worst(check)} only.")
    check.settled_as, check.settled_by, check.settled_at, check.note = settled_as, by, timezone.now(), note
    check.full_clean()
    check.save(update_fields=["settled_as", "settled_by", "settled_at", "note", "updated_at"])
    causes = [_doubt(check.source, check.user_id)]
    if check.source == RegistrySource.LEIE:
        causes.append(_exclusion(check.user_id))
    alerts.clear(*(set(causes) - _tell_of([check])))
    return check


def excluded_since(users: Collection[Any]) -> dict[Any, date]:
    """Return since when each of the excluded persons among `users` is; the first of all days where nobody knows."""
    return {row.user_id: _excluded_on(row) for row in _latest(RegistrySource.LEIE, users) if _is_excluded(row)}


def tell(source: str, users: Collection[UUID]) -> None:
    """Open and clear the alerts about what this registry says; users: everybody who was looked up just now."""
    kinds = {DOUBT_ALERT: _doubt(source, ""), EXCLUDED_ALERT: _exclusion("")}
    if source != RegistrySource.LEIE:
        del kinds[EXCLUDED_ALERT]
    before = {cause for kind, start in kinds.items() for cause in alerts.open_causes(kind) if cause.startswith(start)}
    flagged = _latest(source, users).exclude(outcome=RegistryOutcome.CLEAR, settled_as="").select_related("user")
    alerts.clear(*(before - _tell_of(flagged)))


def tell_age(source: str, since: date | None, today: date) -> None:
    """Open an alert while no edition is loaded or it is old, else clear it. since: its day, or that of its loading."""
    cause, name = f"registry file old:{source}", SHORT[RegistrySource(source)]
    if since is not None and today - since <= OLD_AFTER:
        alerts.clear(cause)
        return
    told = f"is of {since}" if since else "was never loaded"
    sentence = f"The registry file of {name} {told}: staff are not checked against a recent one. Load the monthly file."
    alerts.open_once(cause, kind=OLD_ALERT, sentence=sentence)


def _fill(row: RegistryCheck, answer: Answer, before: RegistryCheck | None) -> None:
    """Set what the registry says; `before` hands on how the same was settled.

    An exclusion that a person settled stays in force while the list says anything: it is to be settled again.
    """
    same = before is not None and _says_the_same(before, answer)
    holds = before is not None and _is_excluded(before) and answer.outcome != RegistryOutcome.CLEAR
    if before is not None and (same or (holds and before.settled_as)):
        row.settled_as, row.settled_by_id, row.note = before.settled_as, before.settled_by_id, before.note
        row.settled_at = before.settled_at if same else None
    else:
        row.settled_as, row.settled_by_id, row.settled_at, row.note = "", None, None, ""
    row.outcome, row.finding = answer.outcome, dict(answer.finding)
    row.checked_at = row.updated_at = timezone.now()


def _says_the_same(before: RegistryCheck, answer: Answer) -> bool:
    """Return whether this is what was said before, of no further entry and in no further field."""
    further = [set(answer.finding.get(name, ())) - set(before.finding.get(name, ())) for name in ("entries", "differs")]
    return before.outcome == answer.outcome and not any(further)


def _latest(source: str, users: Collection[Any]) -> QuerySet[RegistryCheck]:
    checks = RegistryCheck.objects.filter(source=source, user__in=list(users))
    newest = checks.order_by("user_id", "-loaded_at", "-edition").distinct("user_id")
    return RegistryCheck.objects.filter(pk__in=newest.values("pk"))


def _locked(rows: QuerySet[RegistryCheck]) -> QuerySet[RegistryCheck]:
    return rows.select_for_update(no_key=True).order_by("pk")


def _is_excluded(row: RegistryCheck) -> bool:
    said = row.settled_as or row.outcome
    return row.source == RegistrySource.LEIE and said == RegistryOutcome.EXCLUDED


def _worst(row: RegistryCheck) -> str:
    """Return what it is where it is not another one: of the list of exclusions an exclusion, else what was found."""
    return RegistryOutcome.EXCLUDED if row.source == RegistrySource.LEIE else RegistryOutcome(row.outcome)


def _excluded_on(row: RegistryCheck) -> date:
    told = row.finding.get("excluded_on")
    return date.fromisoformat(told) if told else date.min


def _doubt(source: str, user: Any) -> str:
    return f"registry {source}:{user}"


def _exclusion(user: Any) -> str:
    return f"excluded from programs:{user}"


def _tell_of(checks: Iterable[RegistryCheck]) -> set[str]:
    """Open or clear the alerts of each check; return the causes of those that are open now."""
    told = list(checks)
    certain = {_exclusion(row.user_id): row for row in told if _is_excluded(row)}
    doubts = {_doubt(row.source, row.user_id): row for row in told if not row.settled_at and row.outcome in DOUBTS}
    for cause in alerts.all_dismissed({cause: row.checked_at for cause, row in doubts.items()}):
        del doubts[cause]
    for cause, row in certain.items():
        _open(cause, row, EXCLUDED_ALERT, Alert.Severity.CRITICAL, EXCLUDED)
    for cause, row in doubts.items():
        sentence = (
            f"{SHORT[RegistrySource(row.source)]}, edition {row.edition}: {DOUBTS[RegistryOutcome(row.outcome)]}."
        )
        _open(cause, row, DOUBT_ALERT, Alert.Severity.WARNING, sentence)
    return certain.keys() | doubts.keys()


def _open(cause: str, row: RegistryCheck, kind: str, severity: str, sentence: str) -> None:
    words = sentence.format(user=row.user_id, edition=row.edition)
    alerts.open_once(cause, kind=kind, severity=severity, sentence=words, subject=row.user)
