"""One claim of an 835 as it was told, also out of a stored row; without it a match by hand would need the file again.

The readers' records have the same attributes, so that both are posted by the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from backend.apps.insurance.models import RemittanceClaim

MOST_REMARKS = 60  # characters


class Adjustment(Protocol):
    @property
    def group(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...


class Line(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def charge(self) -> Decimal: ...
    @property
    def paid(self) -> Decimal: ...
    @property
    def original_code(self) -> str: ...
    @property
    def service_from(self) -> date | None: ...
    @property
    def control_number(self) -> str: ...
    @property
    def adjustments(self) -> Sequence[Adjustment]: ...
    @property
    def remarks(self) -> Sequence[str]: ...


class Claim(Protocol):
    """position: from 1 in its transaction. segment: its place in the transaction, or in the file once it is stored."""

    @property
    def position(self) -> int: ...
    @property
    def segment(self) -> int: ...
    @property
    def number(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def charge(self) -> Decimal: ...
    @property
    def paid(self) -> Decimal: ...
    @property
    def patient_responsibility(self) -> Decimal: ...
    @property
    def payer_claim_number(self) -> str: ...
    @property
    def member_id(self) -> str: ...
    @property
    def crossover_id(self) -> str: ...
    @property
    def service_from(self) -> date | None: ...
    @property
    def adjustments(self) -> Sequence[Adjustment]: ...
    @property
    def remarks(self) -> Sequence[str]: ...
    @property
    def lines(self) -> Sequence[Line]: ...


class StoredAdjustment(NamedTuple):
    group: str
    reason: str
    amount: Decimal


class StoredLine(NamedTuple):
    code: str
    charge: Decimal
    paid: Decimal
    original_code: str
    service_from: date | None
    control_number: str
    adjustments: tuple[StoredAdjustment, ...]
    remarks: tuple[str, ...]


class StoredClaim(NamedTuple):
    position: int
    segment: int
    number: str
    status: str
    charge: Decimal
    paid: Decimal
    patient_responsibility: Decimal
    payer_claim_number: str
    member_id: str
    crossover_id: str
    service_from: date | None
    adjustments: tuple[StoredAdjustment, ...]
    remarks: tuple[str, ...]
    lines: tuple[StoredLine, ...]


def content(claim: Claim, offset: int) -> dict[str, Any]:
    """Return what a row keeps of a claim beside its columns; amounts as text. offset: segments before its transaction.

    {"segment": 41, "adjustments": [["CO", "45", "12.50"], ...], "remarks": [...], "lines": [{"code", "charge", "paid",
    "original", "day", "number", "adjustments", "remarks"}, ...]}
    """
    return {
        "segment": offset + claim.segment,
        "adjustments": _pairs(claim.adjustments),
        "remarks": list(claim.remarks),
        "lines": [
            {
                "code": line.code,
                "charge": str(line.charge),
                "paid": str(line.paid),
                "original": line.original_code,
                "day": line.service_from.isoformat() if line.service_from else "",
                "number": line.control_number,
                "adjustments": _pairs(line.adjustments),
                "remarks": list(line.remarks),
            }
            for line in claim.lines
        ],
    }


def _pairs(adjustments: Iterable[Adjustment]) -> list[list[str]]:
    return [[one.group, one.reason, str(one.amount)] for one in adjustments]


def stored(row: RemittanceClaim) -> StoredClaim:
    """Return the claim that `content` and the columns of its row keep."""
    kept: Any = row.content
    return StoredClaim(
        position=row.number,
        segment=kept["segment"],
        number=row.claim_control_number,
        status=row.status_code,
        charge=row.charge,
        paid=row.paid,
        patient_responsibility=row.patient_responsibility or Decimal(0),
        payer_claim_number=row.payer_claim_number,
        member_id=row.member_id,
        crossover_id=row.crossed_to,
        service_from=row.service_on,
        adjustments=_adjustments(kept["adjustments"]),
        remarks=tuple(kept["remarks"]),
        lines=tuple(_line(line) for line in kept["lines"]),
    )


def _line(kept: dict[str, Any]) -> StoredLine:
    return StoredLine(
        code=kept["code"],
        charge=Decimal(kept["charge"]),
        paid=Decimal(kept["paid"]),
        original_code=kept["original"],
        service_from=date.fromisoformat(kept["day"]) if kept["day"] else None,
        control_number=kept["number"],
        adjustments=_adjustments(kept["adjustments"]),
        remarks=tuple(kept["remarks"]),
    )


def _adjustments(pairs: Iterable[Sequence[str]]) -> tuple[StoredAdjustment, ...]:
    return tuple(StoredAdjustment(group, reason, Decimal(amount)) for group, reason, amount in pairs)


def service_day(claim: Claim) -> date | None:
    return claim.service_from or next((line.service_from for line in claim.lines if line.service_from), None)


def remarks(codes: Sequence[str]) -> str:
    """Return remark codes joined by commas, whole ones only, as many as a column holds."""
    if not codes:
        return ""
    text = ",".join(dict.fromkeys(codes))
    return text if len(text) <= MOST_REMARKS else text[: MOST_REMARKS + 1].rpartition(",")[0]


def reasons(claim: Claim) -> list[str]:
    """Return ["CO-45", "PR-1", ...]: why the claim was not paid in full, each once."""
    found = [*claim.adjustments, *(one for line in claim.lines for one in line.adjustments)]
    return list(dict.fromkeys(f"{one.group}-{one.reason}" for one in found))
