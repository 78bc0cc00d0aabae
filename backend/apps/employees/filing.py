"""How credentials are filed, renewed and reviewed; without it a doctor's and a nurse's would follow different rules."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.roles import Role
from backend.apps.employees.models import CredentialType, Employee, EmployeeCredential, VerificationMethod
from backend.apps.employees.models.credentials import Credential

Paper = TypeVar("Paper", bound=Credential)

# What was checked: once one of them changes, somebody has to look again. The holder belongs to them as well.
CHECKED = frozenset({
    "credential_type", "issuing_organization", "number", "state", "issue_date", "expiry_date", "document",
})  # fmt: skip
# Of these a person holds several of one issuer at once: only a number tells that one follows the other.
SEVERAL_AT_ONCE = frozenset({CredentialType.BOARD_CERTIFICATION, CredentialType.IMMUNIZATION, CredentialType.OTHER})
KEPT = ("credential_type", "issuing_organization", "number", "state")


@transaction.atomic
def file(model: type[Paper], *, by: Any, **fields: Any) -> Paper:
    """Put a credential on file. Earlier ones of the same kind are replaced by it, and it by a later one.

    The same kind: of one holder, type, state and issuer, and of one number where a person holds several at once.
    """
    row = model(**fields)
    _only_own(by, row.holder)
    _lock_papers_of(row.holder)
    _save(row)
    _link(row)
    return row


def file_of_employee(*, by: Any, employee: Employee | None = None, **fields: Any) -> EmployeeCredential:
    """Put a credential on file: one's own, or anybody's when HR writes it down."""
    holder = employee or (Employee.objects.filter(user=by).first() if by is not None else None)
    if holder is None:
        raise DomainError("Say whose credential this is; this login has no file of its own.")
    return file(EmployeeCredential, by=by, employee=holder, **fields)


@transaction.atomic
def amend(credential: Paper, *, by: Any, **fields: Any) -> Paper:
    """Change a credential; what was verified or rejected before has to be looked at again."""
    _reload(credential)
    _only_own(by, credential.holder)
    _only_own(by, fields.get(credential.HOLDER, credential.holder))
    _refuse_replaced(credential, "change")
    _lock_papers_of(credential.holder)
    changed = {name for name, value in fields.items() if value != getattr(credential, name)}
    for name in changed:
        setattr(credential, name, fields[name])
    if changed & (CHECKED | {credential.HOLDER}):
        credential.unverify()
    _save(credential)
    if changed & {"credential_type", "state", credential.HOLDER}:
        credential.give_back()
    if any(not _ends_later(credential, earlier) for earlier in credential.replaces.filter(is_deleted=False)):
        raise DomainError("It is the renewal of one that ends later; its day of expiry comes after that.")
    _link(credential)
    return credential


@transaction.atomic
def renew(credential: Paper, *, by: Any, **fields: Any) -> Paper:
    """Put the renewed credential on file and note that it replaces this one; return the new one.

    fields: what is new (issue_date, expiry_date, document; number and issuing_organization where they changed).
    """
    _reload(credential)
    _only_own(by, credential.holder)
    _refuse_replaced(credential, "renew")
    if _is_own(by, credential) and not fields.get("document"):
        raise DomainError("Add the new document: the renewal stands in place of the old one.")
    _lock_papers_of(credential.holder)
    kept = {name: getattr(credential, name) for name in (*KEPT, credential.HOLDER)}
    row = type(credential)(**{**kept, **fields})
    if not _ends_later(row, credential):
        raise DomainError("A renewed credential ends later than the one before.")
    _save(row)
    _replace(type(credential)._base_manager.filter(pk=credential.pk), row)
    _link(row)
    return row


@transaction.atomic
def verify(credential: Paper, *, by: Any, method: str = VerificationMethod.DOCUMENT) -> Paper:
    """Note that this was checked, and how; nobody checks their own."""
    _reload(credential)
    if _is_own(by, credential):
        raise DomainError("Somebody else has to check this: nobody verifies their own credential.")
    _refuse_replaced(credential, "verify")
    if method == VerificationMethod.DOCUMENT and not credential.document:
        raise DomainError("There is no document to look at: upload it, or ask whoever issued it.")
    was_rejected = credential.rejected_at is not None
    credential.verify(by, method)
    if was_rejected:
        _link(credential)
    return credential


@transaction.atomic
def reject(credential: Paper, *, by: Any, reason: str) -> Paper:
    """Note that this was checked and does not hold; what it replaced counts again."""
    _reload(credential)
    if credential.rejected_at is not None:
        raise DomainError("This credential is rejected already.")
    if not reason.strip():
        raise DomainError("Say why it is rejected: the holder has to know what to bring.")
    credential.reject(by, reason.strip())
    credential.give_back()
    return credential


def _only_own(by: Any, holder: Any) -> None:
    """Refuse whoever is neither the administrator nor a machine nor the holder."""
    if by is not None and by.role != Role.ADMIN and holder.user_id != by.pk:
        raise PermissionDenied


def _is_own(by: Any, credential: Credential) -> bool:
    return by is not None and credential.holder.user_id == by.pk


def _refuse_replaced(credential: Credential, verb: str) -> None:
    if credential.replaced_by_id is not None:
        raise DomainError(f"This credential was renewed already; {verb} the newer one.")


def _reload(credential: Credential) -> None:
    rows = type(credential)._base_manager.select_for_update(of=("self",), no_key=True)
    credential.refresh_from_db(from_queryset=rows)


def _lock_papers_of(holder: Any) -> None:
    """Let one transaction at a time say which papers of this person replace which."""
    list(type(holder)._base_manager.select_for_update(no_key=True).filter(pk=holder.pk).values_list("pk"))


def _save(row: Credential) -> None:
    row.full_clean()
    row.save()


def _ends_later(new: Credential, old: Credential) -> bool:
    """Return whether `new` ends after `old`; one without a day of expiry holds for ever."""
    return old.expiry_date is not None and (new.expiry_date is None or new.expiry_date > old.expiry_date)


def _link(row: Credential) -> None:
    """Note which papers on file this one replaces, and the later one that replaces it when that was filed first."""
    if row.rejected_at is not None or row.replaced_by_id is not None:
        return
    others = _same_kind(row).filter(replaced_by=None)
    if row.expiry_date is None:
        _replace(others.filter(expiry_date__isnull=False), row)
        return
    _replace(others.filter(expiry_date__lt=row.expiry_date), row)
    ending_later = others.filter(Q(expiry_date=None) | Q(expiry_date__gt=row.expiry_date), rejected_at=None)
    later = ending_later.order_by(F("expiry_date").desc(nulls_first=True), "id").first()
    if later is not None:
        _replace(type(row)._base_manager.filter(pk=row.pk), later)
        row.refresh_from_db(fields=["replaced_by", "updated_at"])


def _same_kind(row: Credential) -> QuerySet[Any]:
    same: dict[str, Any] = {name: getattr(row, name) for name in (row.HOLDER, "credential_type", "state")}
    others = type(row).objects.filter(**same, issuing_organization__iexact=row.issuing_organization).exclude(pk=row.pk)
    if row.credential_type not in SEVERAL_AT_ONCE:
        return others
    return others.filter(number=row.number) if row.number else others.none()


def _replace(rows: QuerySet[Any], by: Credential) -> None:
    rows.update(replaced_by=by, updated_at=timezone.now())
