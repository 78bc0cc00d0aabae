"""Reads the envelope of what arrived, with pyx12; without it the counterpart could only answer what it understands.

Positions count segments from ST, which is 1, as IK3-02 of a 999 does.
"""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pyx12.errors
import pyx12.params
import pyx12.x12file
import pyx12.x12n_document

for _name in ("pyx12", "x12sdk"):  # they write whole segments, and so people, into logs
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class Unreadable(ValueError):
    """Not an interchange, or one that breaks off."""


@dataclass(frozen=True, slots=True)
class ClaimPlace:
    """A claim's own number, and where its segments begin: at the HL of its subscriber or patient, if it has one."""

    number: str  # CLM01
    begins: int
    clm: int


@dataclass(slots=True)
class Transaction:
    code: str  # ST01
    number: str  # ST02
    reference: str = ""  # BHT03
    claims: list[ClaimPlace] = field(default_factory=list)

    def owner(self, position: int) -> ClaimPlace | None:
        """Return the claim that a segment belongs to."""
        before = [claim for claim in self.claims if claim.begins <= position]
        return before[-1] if before else None


@dataclass(slots=True)
class Group:
    functional_id: str  # GS01
    number: str  # GS06
    version: str  # GS08
    sender: str
    receiver: str
    transactions: list[Transaction] = field(default_factory=list)


@dataclass(slots=True)
class Arrival:
    """An interchange: what its ISA says, and what is in it."""

    text: str = field(repr=False)
    sender: tuple[str, str]  # qualifier, id without its blanks
    receiver: tuple[str, str]
    at: tuple[str, str]  # ISA09, ISA10
    number: str  # ISA13
    wants_ta1: bool
    usage: str
    groups: list[Group] = field(default_factory=list)

    @property
    def component_separator(self) -> str:
        return self.text[104]

    @property
    def transactions(self) -> list[Transaction]:
        return [transaction for group in self.groups for transaction in group.transactions]

    @property
    def claim_numbers(self) -> list[str]:
        return [claim.number for transaction in self.transactions for claim in transaction.claims]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one segment. element: its place and reference number, as ("2", "782"); () the segment."""

    segment_id: str
    position: int
    code: str
    element: tuple[str, ...] = ()


def read(content: bytes) -> Arrival:
    """Return the interchange of a file. Raises Unreadable."""
    try:
        text = content.decode("latin-1").lstrip()
        reader = pyx12.x12file.X12Reader(io.StringIO(text))
        arrival = _Walk(text).through(reader)
    except (pyx12.errors.X12Error, pyx12.errors.EngineError, IndexError, AttributeError, TypeError, ValueError):
        raise Unreadable("not an interchange") from None
    if "IEA" not in text[-200:]:
        raise Unreadable("an interchange without an end")
    return arrival


def faults(arrival: Arrival) -> tuple[str, dict[str, list[Fault]]]:
    """Return a TA1 note code, "000" where the envelope is right, and the faults of each transaction by ST02.

    A version that pyx12 has no map for (270, 276) has none.
    """
    told = io.StringIO()
    try:
        pyx12.x12n_document.x12n_document(
            pyx12.params.params(),
            io.StringIO(arrival.text),
            None,
            None,
            None,
            told,
        )
    except pyx12.errors.EngineError:
        return "000", {}
    [interchange, *_] = json.loads(told.getvalue())["interchanges"]
    note = next((error["err_cde"] for error in interchange["errors"]), "000")
    found = {
        transaction["trn_set_control_num"]: _faults_of(transaction)
        for group in interchange["groups"]
        for transaction in group["transactions"]
    }
    return note, found


class _Walk:
    """Goes through the segments once and notes what stands where."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._heads: list[Arrival] = []
        self._begins = 0  # where the segments of the next claim's patient begin

    def through(self, reader: Any) -> Arrival:
        steps = {"ISA": self._isa, "GS": self._gs, "ST": self._st, "BHT": self._bht, "HL": self._hl, "CLM": self._clm}
        for segment in reader:
            step = steps.get(segment.get_seg_id())
            if step is not None:
                step(segment, reader.get_seg_count())
        [arrival] = self._heads
        return arrival

    @property
    def _last(self) -> Transaction:
        return self._heads[-1].groups[-1].transactions[-1]

    def _isa(self, segment: Any, position: int) -> None:
        value = [(segment.get_value(f"ISA{number:02}") or "").strip() for number in range(17)]
        head = Arrival(
            text=self._text,
            sender=(value[5], value[6]),
            receiver=(value[7], value[8]),
            at=(value[9], value[10]),
            number=value[13],
            wants_ta1=value[14] == "1",
            usage=value[15],
        )
        self._heads.append(head)

    def _gs(self, segment: Any, position: int) -> None:
        value = [segment.get_value(f"GS{number:02}") or "" for number in range(9)]
        self._heads[-1].groups.append(Group(value[1], value[6], value[8], sender=value[2], receiver=value[3]))

    def _st(self, segment: Any, position: int) -> None:
        made = Transaction(segment.get_value("ST01") or "", segment.get_value("ST02") or "")
        self._heads[-1].groups[-1].transactions.append(made)
        self._begins = 0

    def _bht(self, segment: Any, position: int) -> None:
        self._last.reference = segment.get_value("BHT03") or ""

    def _hl(self, segment: Any, position: int) -> None:
        if segment.get_value("HL03") in ("22", "23"):
            self._begins = self._begins or position

    def _clm(self, segment: Any, position: int) -> None:
        number = segment.get_value("CLM01") or ""
        self._last.claims.append(ClaimPlace(number, self._begins or position, position))
        self._begins = 0


def _faults_of(transaction: dict[str, Any]) -> list[Fault]:
    found = [Fault("ST", 1, error["err_cde"]) for error in transaction["errors"]]
    for segment in transaction["segments"]:
        name, position = segment["seg_id"], segment["seg_count"]
        found += [Fault(name, position, error["err_cde"]) for error in segment["errors"]]
        for element in segment["elements"]:
            place = str(element["ele_pos"]), str(element["ele_ref_num"] or "")
            found += [Fault(name, position, error["err_cde"], place) for error in element["errors"]]
    return found
