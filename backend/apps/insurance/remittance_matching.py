"""Finds which of our claims and lines an 835 is about; without it money would be posted to the wrong patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db.models import Q, QuerySet

from backend.apps.core import closed_values
from backend.apps.core.sealed import CannotOpen, Sealed, opened, same
from backend.apps.insurance import fact_parts
from backend.apps.insurance.edits.forms import medicare_number
from backend.apps.insurance.models import (
    BillingEntity,
    ClaimLine,
    InsuranceClaim,
    InsuranceProvider,
    PatientInsurance,
    RemittanceClaim,
)
from backend.apps.insurance.remittance_told import Claim, Line, service_day

MOST_CANDIDATES = 20
AGREEING = ("billed_amount", "service_date", "patient_insurance_id", "patient_insurance__member_id")


class OurLine(NamedTuple):
    """A line of ours as far as matching needs it."""

    pk: UUID
    number: int
    code: str
    charge: Decimal
    service_from: date


class Payer(Protocol):
    """Who pays, and whom; see the reader of 835s."""

    @property
    def payer_id(self) -> str: ...
    @property
    def payer_ids(self) -> Sequence[tuple[str, str]]: ...
    @property
    def payee_npi(self) -> str: ...
    @property
    def payee_tax_id(self) -> str: ...


def is_for_us(payer: Payer) -> bool:
    """Whether a payment is to one who bills here, as far as it tells and we know."""
    if not payer.payee_npi:
        return True
    ours = list(BillingEntity.all_objects.only("npi", "tax_id"))
    if not ours or any(one.npi == payer.payee_npi for one in ours):
        return True
    return any(fact_parts.tax_id(one) == payer.payee_tax_id for one in ours)


def claims(told: Sequence[Claim], payer: Payer) -> dict[int, UUID]:
    """Return by position which claim of ours is meant: by CLP01, then by the payer's own number (CLP07).

    CLP07 counts only where it is this payer's and charge, or member and day, agree, all three where we do not know the
    payer: another one may have given the same number. Where a claim went by its short number, as on paper, the charge
    and the day or member have to agree.
    """
    ours = InsuranceClaim.objects.all()
    by_number = dict(
        ours.filter(control_number__in=_given(one.number for one in told)).values_list("control_number", "pk")
    )
    found = {one.position: by_number[one.number] for one in told if one.number in by_number}
    if rest := [one for one in told if one.position not in found]:
        found.update(_by_short_number(rest))
    if rest := [one for one in told if one.position not in found]:
        found.update(_by_reference(rest, payer))
    return found


def _given(texts: Iterable[str]) -> list[str]:
    return list({text for text in texts if text})


def _by_short_number(told: Sequence[Claim]) -> dict[int, UUID]:
    rows = InsuranceClaim.objects.filter(claim_number__in=_given(one.number for one in told))
    known: dict[str, list[Any]] = {number: rest for number, *rest in rows.values_list("claim_number", "pk", *AGREEING)}
    found = {}
    for one in told:
        pk, billed, day, *member = known.get(one.number, (None, None, None))
        if pk and abs(one.charge) == billed and (service_day(one) == day or _is(one, *member)):
            found[one.position] = pk
    return found


def _by_reference(told: Sequence[Claim], payer: Payer) -> dict[int, UUID]:
    """Match by the payer's number where it belongs to one claim only, and the rest of it agrees.

    Of a payer that we do not know all of the rest has to agree: its numbers may be those of any other.
    """
    rows = InsuranceClaim.objects.filter(insurance_reference_number__in=_given(one.payer_claim_number for one in told))
    payers = _known_as(payer)
    if payers:
        rows = rows.filter(patient_insurance__insurance_plan__provider__in=payers)
    known: dict[str, list[Any]] = {}
    for number, *rest in rows.values_list("insurance_reference_number", "pk", *AGREEING):
        known.setdefault(number, []).append(rest)
    found = {}
    for one in told:
        alike = known.get(one.payer_claim_number, [])
        if len(alike) == 1 and _agrees(one, *alike[0][1:], in_all=not payers):
            found[one.position] = alike[0][0]
    return found


def _agrees(one: Claim, billed: Decimal, day: date, coverage: UUID, member: Sealed, *, in_all: bool) -> bool:
    same_charge, same_service = abs(one.charge) == billed, service_day(one) == day and _is(one, coverage, member)
    return same_charge and same_service if in_all else same_charge or same_service


def _is(one: Claim, coverage: UUID, member: Sealed) -> bool:
    """Whether a claim is about a member of ours; payers write the number as it was sent, we keep it as on the card."""
    try:
        return medicare_number(one.member_id) == medicare_number(opened(member, coverage))
    except CannotOpen as closed:  # then a person says whose it is; the other payments of the file are posted
        closed_values.tell(closed)
        return False


def _known_as(payer: Payer) -> set[UUID]:
    """Return the payers of ours that go by one of these ids: none where it names itself in no way we know."""
    ids = _given([payer.payer_id, *(value for _, value in payer.payer_ids)])
    named = Q(payer_id__in=ids) | Q(electronic_claims_id__in=ids) | Q(routes__payer_id__in=ids)
    return set(InsuranceProvider.objects.filter(named).values_list("pk", flat=True))


def candidates(row: RemittanceClaim) -> QuerySet[Any]:
    """Return claims a person may choose from: of that member, or of that day and charge."""
    rows = InsuranceClaim.objects.exclude(status=InsuranceClaim.Status.DRAFT).select_related("patient_insurance")
    of_member = rows.filter(same(PatientInsurance, "member_id_index", row.member_id, path="patient_insurance__"))
    alike = rows.filter(billed_amount=abs(row.charge), service_date=row.service_on) if row.service_on else rows.none()
    keys = [*of_member.values_list("pk", flat=True)[:200], *alike.values_list("pk", flat=True)[:200]]
    return rows.filter(pk__in=keys).order_by("-service_date", "pk")[:MOST_CANDIDATES]


def lines_of(claim_ids: Iterable[UUID]) -> dict[UUID, list[OurLine]]:
    """Return the lines of claims in order; one query."""
    found: dict[UUID, list[OurLine]] = {}
    rows = ClaimLine.objects.filter(claim__in=list(claim_ids)).order_by("claim", "number")
    for claim, *line in rows.values_list("claim_id", *OurLine._fields):
        found.setdefault(claim, []).append(OurLine(*line))
    return found


def lines(claim: Claim, ours: Sequence[OurLine], control_number: str) -> list[OurLine | None]:
    """Return which line of ours each line of the payer is about; None where nothing tells.

    By REF*6R; else by the code we billed (SVC06 where the payer put another one in its place), as nearly as day and
    charge agree. A line of ours that is taken serves again only where the payer split it.
    """
    by_number = {f"{control_number}L{line.number}": line for line in ours}
    found: list[OurLine | None] = [by_number.get(line.control_number) for line in claim.lines]
    taken = {line.pk for line in found if line}
    for place, line in enumerate(claim.lines):
        if found[place] is None:
            found[place] = _alike(line, ours, taken)
            taken.update(one.pk for one in (found[place],) if one)
    return found


def _alike(line: Line, ours: Sequence[OurLine], taken: set[UUID]) -> OurLine | None:
    codes = {line.original_code or line.code, line.code}
    alike = [one for one in ours if one.code in codes]
    return max(alike, key=lambda one: _likeness(line, one, taken), default=None)


def _likeness(line: Line, one: OurLine, taken: set[UUID]) -> tuple[bool, ...]:
    billed = line.original_code or line.code
    return (
        one.pk not in taken,
        one.code == billed,
        line.service_from == one.service_from,
        abs(line.charge) == one.charge,
    )


def by_reference(references: Iterable[str], payer: Payer) -> Mapping[str, UUID]:
    """Return claims as provider adjustments name them: by our number, or by this payer's where it is of one only."""
    given = _given(references)
    ours = InsuranceClaim.objects.filter(control_number__in=given)
    theirs = InsuranceClaim.objects.filter(
        patient_insurance__insurance_plan__provider__in=_known_as(payer), insurance_reference_number__in=given
    )
    alike: dict[str, list[UUID]] = {}
    for number, pk in theirs.values_list("insurance_reference_number", "pk"):
        alike.setdefault(number, []).append(pk)
    found = {number: keys[0] for number, keys in alike.items() if len(keys) == 1}
    return {**found, **dict(ours.values_list("control_number", "pk"))}
