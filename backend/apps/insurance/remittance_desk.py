"""What a person decides about an 835; without it money that finds no claim by itself would find none."""

from __future__ import annotations

from django.db import transaction

from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import crossovers, posting, remittance_told, remitting, secondaries
from backend.apps.insurance.models import AckEvent, InboundFile, InsuranceClaim, Remittance, RemittanceClaim
from backend.apps.insurance.posting import Case
from backend.apps.insurance.standing import Source
from backend.apps.users.models import User

State = RemittanceClaim.State
OPEN = (State.UNMATCHED, State.BLOCKED)


@transaction.atomic
def match(row: RemittanceClaim, *, by: User | None, claim: InsuranceClaim) -> RemittanceClaim:
    """Post what the payer says of a claim to the claim a person has found, by the same rules as all others."""
    remittance = _open(row)
    file = InboundFile.all_objects.defer("content").get(pk=remittance.file_id)
    told = remittance_told.stored(row)
    source = Source(file, remittance.transaction_number, place=remittance.place)
    found = Case(str(row.pk), told, claim.pk, told.segment)
    (case,) = crossovers.meant(source, [found])
    state, reason = posting.post(source, remittance, [case], by=by)[case.row_id]
    if state != State.POSTED:
        raise DomainError(reason or "This is only told and has nothing to post.")
    words = AckEvent.objects.filter(
        file_sha256=file.sha256, segment_index=told.segment, claim=case.claim_id, kind="835"
    )
    words.filter(transaction_number=remittance.transaction_number[:9]).update(was_applied=True)
    _settle(row, remittance, state=state, claim_id=case.claim_id, reason="")
    secondaries.follow([key for key in (case.claim_id,) if key])
    return row


@transaction.atomic
def dismiss(row: RemittanceClaim, *, by: User | None, reason: str) -> RemittanceClaim:
    """Put aside what a payer says of a claim: it is not ours, or is settled by other means. Nothing is posted."""
    _settle(row, _open(row), state=State.DISMISSED, reason=reason[:300])
    return row


def _open(row: RemittanceClaim) -> Remittance:
    """Lock the remittance, then the row, and refuse what is settled."""
    remittance = Remittance.all_objects.select_for_update(no_key=True).get(pk=row.remittance_id)
    row.refresh_from_db(from_queryset=RemittanceClaim.objects.select_for_update(no_key=True))
    if row.state not in OPEN:
        raise DomainError("This is settled already.")
    return remittance


def _settle(row: RemittanceClaim, remittance: Remittance, **changes: object) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=[*changes])
    if not remittance.claims.filter(state__in=OPEN).exists():
        remittance.status = Remittance.Status.POSTED
        remittance.save(update_fields=["status", "updated_at"])


@transaction.atomic
def dismiss_whole(remittance: Remittance, *, by: User | None, reason: str) -> Remittance:
    """Put aside a remittance that was not posted: the payer sends another one, or it is entered by hand."""
    remittance.refresh_from_db(from_queryset=Remittance._base_manager.select_for_update(no_key=True))
    if remittance.status != Remittance.Status.QUARANTINED:
        raise DomainError("Only a remittance that was not posted can be put aside.")
    remittance.status = Remittance.Status.DISMISSED
    remittance.findings = [*remittance.findings, f"Put aside: {reason}"[:300]]
    remittance.save(update_fields=["status", "findings", "updated_at"])
    alerts.clear(remitting.cause(remittance.file_id, remittance.place))
    return remittance
