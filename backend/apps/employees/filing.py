"""How credentials are filed, renewed and reviewed; without it a doctor's and a nurse's would follow different rules."""

from __future__ import annotations

from datetime import date
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from backend.apps.core import closed_values, sealed
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.employees.models import CredentialType, Employee, EmployeeCredential, VerificationMethod
from backend.apps.employees.models.credentials import TAKEN_OVER, Credential

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

    The same kind: of one holder, type, state and issuer, and of one number where a person holds several at once. One
    that an update made of a number is replaced by any of its holder and type that ends later.
    """
    row = model(**fields)
    _only_own(by, row.holder)
    row.lock_papers()
    _save(row)
    _link(row)
    _refuse_bare(row, by)
    return row


def file_of_employee(*, by: Any, employee: Employee | None = None, **fields: Any) -> EmployeeCredential:
    """Put a credential on file: one's own, or anybody's when HR writes it down."""
    holder = employee or (Employee.objects.filter(user=by).first() if by is not None else None)
    if holder is None:
        raise DomainError("Say whose credential this is; this login has no file of its own.")
    return file(EmployeeCredential, by=by, employee=holder, **fields)


@transaction.atomic
def amend(credential: Paper, *, by: Any, **fields: Any) -> Paper:
    """Change a credential; what was verified or rejected before has to be looked at again.

    All is refused before the row is saved, which stores a new document where no transaction takes it back.
    """
    _take(credential)
    _only_own(by, credential.holder)
    _only_own(by, fields.get(credential.HOLDER, credential.holder))
    _refuse_replaced(credential, "change")
    changed = {name for name, value in fields.items() if closed_values.differs(credential, name, value)}
    longer = "expiry_date" in changed and _is_later(fields["expiry_date"], credential.expiry_date)
    if longer and _is_own(by, credential) and not fields.get("document"):
        raise DomainError("Add the document that says so: this one would hold for longer.")
    for name in changed:
        setattr(credential, name, fields[name])
    if changed & (CHECKED | {credential.HOLDER}):
        credential.unverify()
    if changed & {"credential_type", "state", credential.HOLDER}:
        credential.lock_papers()
        credential.give_back()
    if any(not _ends_later(credential, earlier) for earlier in credential.replaces.filter(is_deleted=False)):
        raise DomainError("It is the renewal of one that ends later; its day of expiry comes after that.")
    _save(credential)
    _link(credential)
    _refuse_bare(credential, by)
    return credential


@transaction.atomic
def renew(credential: Paper, *, by: Any, **fields: Any) -> Paper:
    """Put the renewed credential on file and note that it replaces this one; return the new one.

    fields: what is new (issue_date, expiry_date, document; number and issuing_organization where they changed; state
        where the one before names none).
    """
    _take(credential)
    _only_own(by, credential.holder)
    _refuse_replaced(credential, "renew")
    kept = {name: getattr(credential, name) for name in (*KEPT, credential.HOLDER)}
    row = type(credential)(**{**kept, **fields})
    if credential.state not in {"", row.state}:
        raise DomainError("One of another state is no renewal; file it beside this one.")
    if row.issuing_organization == TAKEN_OVER:
        raise DomainError("Say who issued the new one: this one was made of a number in the file.")
    _refuse_bare(row, by, of=[credential])
    if not _ends_later(row, credential):
        raise DomainError("A renewed credential ends later than the one before.")
    _save(row)
    _replace(type(credential)._base_manager.filter(pk=credential.pk), row)
    _link(row)
    return row


@transaction.atomic
def verify(credential: Paper, *, by: Any, method: str = VerificationMethod.DOCUMENT) -> Paper:
    """Note that this was checked, and how; nobody checks their own.

    One that has ended or was replaced is verified as well: it says what was true on its own days.
    """
    _take(credential)
    if _is_own(by, credential):
        raise DomainError("Somebody else has to check this: nobody verifies their own credential.")
    if method == VerificationMethod.DOCUMENT and not credential.document:
        raise DomainError("There is no document to look at: upload it, or ask whoever issued it.")
    if method == VerificationMethod.REGISTRY and not credential.is_in_registry:
        raise DomainError("No registry has this license and its holder as we have them; look at the document or ask.")
    credential.verify(by, method)
    _link(credential)
    return credential


@transaction.atomic
def reject(credential: Paper, *, by: Any, reason: str) -> Paper:
    """Note that this was checked and does not hold; what it replaced counts again.

    One that an update made of the same number does not outlive it, the number is all it was made of; but it does where
    what is rejected has ended, and so says nothing of today.
    """
    _take(credential)
    if credential.rejected_at is not None:
        raise DomainError("This credential is rejected already.")
    if not reason.strip():
        raise DomainError("Say why it is rejected: the holder has to know what to bring.")
    credential.reject(by, reason.strip())
    credential.give_back()
    for made in _of_holder(credential).filter(_taken_over(credential), rejected_at=None):
        if _plain(made.number) == _plain(credential.number) and not credential.is_expired:
            made.reject(by, reason.strip())
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


def _refuse_bare(row: Credential, by: Any, of: Any = None) -> None:
    """Refuse what a holder puts in place of earlier papers without a document. of: these, else what it replaces."""
    if _is_own(by, row) and not row.document and (of or row.replaces.exists()):
        raise DomainError("Add the new document: it stands in place of an earlier one.")


def _take(credential: Credential) -> None:
    """Lock the papers of the holder, then this one, and read it again; everybody locks in this order."""
    credential.lock_papers()
    locked = credential.holder_id
    rows = type(credential)._base_manager.select_for_update(of=("self",), no_key=True)
    credential.refresh_from_db(from_queryset=rows)
    if credential.holder_id != locked:
        raise Conflict("Somebody has given this credential to another person meanwhile; load it again.")


def _save(row: Credential) -> None:
    row.full_clean()
    row.save()


def _ends_later(new: Credential, old: Credential) -> bool:
    """Return whether `new` ends after `old`; one without a day of expiry holds for ever."""
    return _is_later(new.expiry_date, old.expiry_date)


def _is_later(new: date | None, old: date | None) -> bool:
    return old is not None and (new is None or new > old)


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
    ending_later = ending_later.exclude(issuing_organization=TAKEN_OVER)
    later = ending_later.order_by(F("expiry_date").desc(nulls_first=True), "id").first()
    if later is not None:
        _replace(type(row)._base_manager.filter(pk=row.pk), later)
        row.refresh_from_db(fields=["replaced_by", "updated_at"])


def _same_kind(row: Credential) -> QuerySet[Any]:
    same = Q(state=row.state, issuing_organization__iexact=row.issuing_organization)
    if row.credential_type in SEVERAL_AT_ONCE:
        same &= sealed.same(type(row), "number_index", row.number)
    return _of_holder(row).filter(same | _taken_over(row))


def _of_holder(row: Credential) -> QuerySet[Any]:
    """Return the other papers of this type that the holder has."""
    holder = {row.HOLDER: row.holder}
    return type(row).objects.filter(**holder, credential_type=row.credential_type).exclude(pk=row.pk)


def _taken_over(row: Credential) -> Q:
    """Find those an update made of a number, unless they are of another state than this one."""
    of_state = Q(state__in=["", row.state]) if row.state else Q()
    return of_state & Q(issuing_organization=TAKEN_OVER)


def _plain(number: str) -> str:
    """Return a number as it is however it was typed: with dashes or spaces, in capitals or not."""
    return "".join(sign for sign in number.casefold() if sign.isalnum())


def _replace(rows: QuerySet[Any], by: Credential) -> None:
    rows.update(replaced_by=by, updated_at=timezone.now())
