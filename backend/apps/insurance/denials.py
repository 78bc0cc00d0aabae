"""Lists what payers refused and what to do next, until somebody has done it; else refused money would be forgotten.

On the list: claims that are denied, and paid ones of which a part was refused. Off it: once a person closes it, appeals
or makes a correction; a refusal that comes later puts it on again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Case, DecimalField, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, TextField, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import denial_groups
from backend.apps.insurance.denial_groups import BILL_PATIENT, BY_KEY, GROUPS, NO_DENIAL, PATIENT, READ_REASON
from backend.apps.insurance.models import InsuranceClaim, Posting
from backend.apps.insurance.models.remittances import PostingKind
from backend.apps.users.models import User

Status = InsuranceClaim.Status
MONEY = DecimalField(max_digits=14, decimal_places=2)


class Refusal(NamedTuple):
    """One reason for which a part of a claim was refused. reason: CARC; remarks: RARC; amount: what stands refused."""

    group: str
    reason: str
    remarks: tuple[str, ...]
    amount: Decimal
    key: str
    action: str


class Count(NamedTuple):
    """How many claims of the list have a refusal of this group, and how much of their money."""

    key: str
    action: str
    claims: int
    amount: Decimal


def worklist(claims: QuerySet[Any], *, key: str = "") -> QuerySet[Any]:
    """Return the claims with a refusal nobody has dealt with, and `denied_amount`; key: those of one group only."""
    partly = _refused().values("claim").annotate(net=Sum("amount")).filter(net__gt=0)
    rows = claims.filter(Q(status=Status.DENIED) | Q(status=Status.PAID, pk__in=partly.values("claim")))
    later = _refused().filter(claim=OuterRef("pk"), posted_at__gt=OuterRef("denial_closed_at"), is_reversal=False)
    corrections = InsuranceClaim.objects.filter(original=OuterRef("pk"))
    rows = rows.filter(Q(denial_closed_at__isnull=True) | Exists(later)).filter(~Exists(corrections))
    rows = rows.annotate(denied_amount=_denied_amount())
    return _of_group(rows, key) if key else rows


def counts(claims: QuerySet[Any]) -> list[Count]:
    """Return the groups of the list, the most money first. A claim counts in each group it has a refusal of."""
    listed = worklist(claims)
    rows = _keyed().filter(claim__in=listed.values("pk")).order_by().values_list("claim", "key")
    found: dict[str, list[Decimal]] = defaultdict(list)
    for _, key, net in rows.annotate(net=Sum("amount")).filter(net__gt=0).iterator():
        found[key].append(net)
    untold = listed.filter(~Exists(_refused().filter(claim=OuterRef("pk"))))
    found[READ_REASON.key] += untold.values_list("billed_amount", flat=True)
    groups = [Count(key, BY_KEY[key].action, len(nets), sum(nets, Decimal(0))) for key, nets in found.items() if nets]
    return sorted(groups, key=lambda row: (-row.amount, row.key))


def refusals(claims: Iterable[Any]) -> Mapping[UUID, list[Refusal]]:
    """Return why parts of these claims were refused, the most money first, in one query."""
    rows = _refused().filter(claim__in=[claim.pk for claim in claims])
    nets = rows.values_list("claim", "group", "reason", "said").order_by().annotate(net=Sum("amount"))
    found: dict[UUID, list[Refusal]] = defaultdict(list)
    for claim, group, reason, remarks, net in nets.filter(net__gt=0):
        said = tuple(filter(None, remarks.split(",")))
        of = denial_groups.of(group, reason, said) or READ_REASON
        found[claim].append(Refusal(group, reason, said, net, of.key, of.action))
    return {claim: sorted(reasons, key=lambda one: (-one.amount, one.reason)) for claim, reasons in found.items()}


@transaction.atomic
def close_denial(claim: InsuranceClaim, *, by: User | None, reason: str) -> InsuranceClaim:
    """Take a claim off the list of refusals, for a reason; a later refusal puts it there again."""
    if not reason.strip():
        raise DomainError("Say why nothing more is done about this refusal.")
    if not worklist(InsuranceClaim.objects.filter(pk=claim.pk)).exists():
        raise DomainError("This claim is not on the list of refusals.")
    now = timezone.now()
    InsuranceClaim.objects.filter(pk=claim.pk).update(
        denial_closed_at=now, denial_closed_as=reason.strip()[:200], updated_at=now
    )
    claim.refresh_from_db(fields=["denial_closed_at", "denial_closed_as", "updated_at"])
    return claim


def _refused() -> QuerySet[Any]:
    """Return the entries of the ledger that take a part off a claim by a refusal; a reversal's are negative.

    `said`: the remarks it counts under. Payers take a part back without the remarks they refused it with, so that a
    reversal's are those of the entry it takes back.
    """
    rows = Posting.objects.exclude(kind=PostingKind.PAYMENT).exclude(reason="").exclude(reason__in=NO_DENIAL)
    same = {name: OuterRef(name) for name in ("claim", "group", "reason")}
    taken_back = Posting.objects.filter(is_reversal=False, amount=-OuterRef("amount"), **same).annotate(
        is_near=Case(When(line=OuterRef("line"), then=Value(1)), default=Value(0))
    )
    first = taken_back.order_by("-is_near", "-posted_at", "-pk").values("remarks")[:1]
    its_own = Coalesce(Subquery(first), F("remarks"), output_field=TextField())
    said = Case(When(is_reversal=True, then=its_own), default=F("remarks"), output_field=TextField())
    return rows.annotate(said=said)


def _denied_amount() -> Coalesce:
    """Return the sum of a claim's refusals, or all of a denied claim of which the ledger tells no reason."""
    nets = _refused().filter(claim=OuterRef("pk")).order_by().values("claim").annotate(net=Sum("amount"))
    return Coalesce(Subquery(nets.values("net")), F("billed_amount"), output_field=MONEY)


def _of_group(rows: QuerySet[Any], key: str) -> QuerySet[Any]:
    nets = _keyed().filter(key=key).order_by().values("claim").annotate(net=Sum("amount")).filter(net__gt=0)
    with_key = Q(pk__in=nets.values("claim"))
    if key != READ_REASON.key:
        return rows.filter(with_key)
    return rows.filter(with_key | ~Exists(_refused().filter(claim=OuterRef("pk"))))


def _keyed() -> QuerySet[Any]:
    """Add to each refusal the `key` of its group, by the rules of `denial_groups.of`."""
    named = [(one.key, "|".join(sorted(one.remarks))) for one in GROUPS if one.remarks]
    remarks = [When(said__regex=f"(^|,)({one_of})(,|$)", then=Value(key)) for key, one_of in named]
    reasons = [When(reason__in=one.reasons, then=Value(one.key)) for one in GROUPS]
    plain = Case(*remarks, *reasons, default=Value(READ_REASON.key), output_field=TextField())
    of_patient = When(group=PATIENT, plain__in=["not_covered", READ_REASON.key], then=Value(BILL_PATIENT.key))
    key = Case(of_patient, default=F("plain"), output_field=TextField())
    return _refused().annotate(plain=plain).annotate(key=key)
