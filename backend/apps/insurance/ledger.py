"""The ledger of claims: entries are added and never changed; without it a claim's balance could not be explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q, Sum
from django.utils import timezone

from backend.apps.core.bases import uuid7_text
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import remittance_told
from backend.apps.insurance.models import InsuranceClaim, Posting, RemittanceClaim
from backend.apps.insurance.models.remittances import PostingKind
from backend.apps.insurance.remittance_matching import OurLine
from backend.apps.insurance.remittance_told import Adjustment, Claim
from backend.apps.users.models import User

NOTHING = Decimal(0)
REVERSAL = "22"
SUPERSEDED = "A later decision has taken its place."
KINDS = {"CO": PostingKind.CONTRACTUAL, "PR": PostingKind.PATIENT}


class Entry(NamedTuple):
    """One entry to be: of a claim as a whole where `line_id` is None."""

    line_id: UUID | None
    kind: str
    group: str
    reason: str
    remarks: str
    amount: Decimal


class Posted(NamedTuple):
    """Entries of one claim of an 835, and who let them in where a person did."""

    claim_id: UUID
    remittance_claim_id: UUID | str
    is_reversal: bool
    entries: list[Entry]
    by_id: UUID | None = None


Key = tuple[Any, ...]  # an entry but for its amount


@dataclass(slots=True)
class Books:
    """What the ledger holds of a claim. charged: net charge of what 835s decided; by_hand: what people entered.

    decided: (charge, paid) of every decision that has not been taken back. off: what stands taken off the charge, by
    line, kind, group, reason and remarks.
    """

    paid: Decimal = NOTHING
    patient: Decimal = NOTHING
    charged: Decimal = NOTHING
    by_hand: Decimal = NOTHING
    decided: Counter[tuple[Decimal, Decimal]] = field(default_factory=Counter)
    off: dict[Key, Decimal] = field(default_factory=dict)

    @property
    def settled(self) -> Decimal:
        return self.paid + self.patient

    def add(self, status: str, charge: Decimal, paid: Decimal, entries: Iterable[Entry]) -> None:
        self.paid += paid
        self.hold(entries)
        self.note(status, charge, paid)

    def hold(self, entries: Iterable[Entry]) -> None:
        for *key, amount in entries:
            if key[1] != PostingKind.PAYMENT:
                self.off[tuple(key)] = self.off.get(tuple(key), NOTHING) + amount
            if key[1] == PostingKind.PATIENT:
                self.patient += amount

    def is_decided_anew(self, status: str, charge: Decimal, billed: Decimal) -> bool:
        """Whether a claim is told that has been decided as a whole; parts of a claim may be decided one by one."""
        return status != REVERSAL and charge > 0 and not self.by_hand and 0 < self.charged > billed - charge

    def stands_as(self, entries: Iterable[Entry]) -> bool:
        """Whether a decision is the one that stands."""
        other = Books()
        other.hold(entries)
        return other.standing == self.standing

    @property
    def standing(self) -> dict[Key, Decimal]:
        return {key: amount for key, amount in self.off.items() if amount}

    def begin_anew(self) -> list[Entry]:
        """Return the entries that take back what stands but the money; after that nothing is decided."""
        back = [Entry._make((*key, -amount)) for key, amount in self.standing.items()]
        self.off, self.decided = {}, Counter()
        self.charged = self.patient = NOTHING
        return back

    def note(self, status: str, charge: Decimal, paid: Decimal) -> None:
        self.charged += charge
        if status == REVERSAL:
            self.decided[(-charge, -paid)] -= 1
        else:
            self.decided[(charge, paid)] += 1


def books(claims: Sequence[UUID], amounts: Mapping[UUID, Decimal | None]) -> dict[UUID, Books]:
    """Return the books of claims, in three queries.

    amounts: what the claims say was paid, to tell what no entry explains.
    """
    found = {pk: Books() for pk in claims}
    sums = Posting.objects.filter(claim__in=claims).values("claim_id").order_by()
    for row in sums.annotate(
        paid=Sum("amount", filter=Q(kind=PostingKind.PAYMENT), default=NOTHING),
        patient=Sum("amount", filter=Q(kind=PostingKind.PATIENT), default=NOTHING),
        by_hand=Sum("amount", filter=Q(kind=PostingKind.PAYMENT, remittance_claim=None), default=NOTHING),
    ):
        book = found[row["claim_id"]]
        book.paid, book.patient, book.by_hand = row["paid"], row["patient"], row["by_hand"]
    decisions = RemittanceClaim.objects.filter(claim__in=claims, state=RemittanceClaim.State.POSTED).order_by()
    for claim, *decision in decisions.exclude(reason=SUPERSEDED).values_list(
        "claim_id", "status_code", "charge", "paid"
    ):
        found[claim].note(*decision)
    off = Posting.objects.filter(claim__in=claims).exclude(kind=PostingKind.PAYMENT).order_by()
    for claim, *key, amount in off.values_list("claim_id", *Entry._fields[:-1]).annotate(total=Sum("amount")):
        found[claim].off[tuple(key)] = amount
    for pk, book in found.items():
        book.by_hand += (amounts.get(pk) or NOTHING) - book.paid  # from before there was a ledger
    return found


def entries(claim: Claim, lines: Sequence[OurLine | None]) -> list[Entry]:
    """Return the entries of a claim as told; together with what is paid they make up its charge.

    What the payer took off the claim as a whole it paid less than its lines say: that part of the payment is the
    claim's own.
    """
    made = list(_adjustments(None, claim.adjustments, remittance_told.remarks(claim.remarks)))
    paid = claim.paid
    for line, ours in zip(claim.lines, lines, strict=True):
        key, said = ours.pk if ours else None, remittance_told.remarks(line.remarks)
        if line.paid:
            made.append(Entry(key, PostingKind.PAYMENT, "", "", "", line.paid))
            paid -= line.paid
        made.extend(_adjustments(key, line.adjustments, said))
    if paid:
        made.append(Entry(None, PostingKind.PAYMENT, "", "", "", paid))
    return made


def _adjustments(line: UUID | None, adjustments: Iterable[Adjustment], remarks: str) -> Iterator[Entry]:
    for one in adjustments:
        if one.amount:
            kind = KINDS.get(one.group, PostingKind.OTHER)
            yield Entry(line, kind, one.group[:2], one.reason[:5], remarks, one.amount)


def supersede(claims: Collection[UUID]) -> None:
    """Note at the decisions of claims that another one has taken their place: they can be taken back no more."""
    if claims:
        rows = RemittanceClaim.objects.filter(claim__in=claims, state=RemittanceClaim.State.POSTED)
        rows.update(reason=SUPERSEDED)


COLUMNS = ("id", "posted_at", "claim_id", "line_id", "remittance_claim_id", "kind", "group", "reason", "remarks",
           "amount", "is_reversal", "by_id")  # fmt: skip


def write(posted: Iterable[Posted]) -> int:
    """Add the entries of claims with one COPY; return how many."""
    now, count = timezone.now().isoformat(), 0
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    with connection.cursor() as cursor, cursor.copy(f"COPY insurance_posting ({names}) FROM STDIN") as copy:
        for one in posted:
            claim, source, by = str(one.claim_id), str(one.remittance_claim_id), one.by_id and str(one.by_id)
            for line, kind, group, reason, remarks, amount in one.entries:
                copy.write_row(
                    (uuid7_text(), now, claim, line and str(line), source, str(kind), group, reason, remarks,
                     str(amount), one.is_reversal, by)
                )  # fmt: skip
                count += 1
    return count


SUMS = """
    SELECT claim_id, coalesce(sum(amount) FILTER (WHERE kind = 'payment'), 0) AS paid,
           coalesce(sum(amount) FILTER (WHERE kind = 'patient'), 0) AS patient
    FROM insurance_posting WHERE claim_id = ANY(%s) GROUP BY claim_id"""


def enter(claim: InsuranceClaim, *, by: User | None, paid: Decimal, patient: Decimal | None) -> None:
    """Add what a person says was paid, and what the patient owes, as the difference to what the ledger holds."""
    sums = Posting.objects.filter(claim=claim).aggregate(
        paid=Sum("amount", filter=Q(kind=PostingKind.PAYMENT), default=NOTHING),
        patient=Sum("amount", filter=Q(kind=PostingKind.PATIENT), default=NOTHING),
    )
    wanted: dict[str, Decimal] = {"payment": paid - sums["paid"]}
    if patient is not None:
        wanted["patient"] = patient - sums["patient"]
    if by is None and any(wanted.values()):
        raise DomainError("Only a person enters a payment that no 835 tells of.")
    Posting.objects.bulk_create(
        Posting(claim=claim, kind=kind, group="PR" if kind == "patient" else "", amount=amount, by=by)
        for kind, amount in wanted.items()
        if amount
    )


def standing(claim_ids: Sequence[UUID]) -> dict[UUID, dict[UUID | None, dict[tuple[str, str, str], Decimal]]]:
    """Return what the ledger holds of claims: by line (None: the whole claim), then by (kind, group, reason).

    What adds up to nothing is left out.
    """
    found: dict[UUID, dict[UUID | None, dict[tuple[str, str, str], Any]]] = {}
    names = ("claim_id", "line_id", "kind", "group", "reason")
    for claim, line, kind, group, reason, amount in (
        Posting.objects.filter(claim__in=claim_ids).values_list(*names).order_by().annotate(total=Sum("amount"))
    ):
        if amount:
            found.setdefault(claim, {}).setdefault(line, {})[(kind, group, reason)] = amount
    return found
