"""Reads an 835, claim by claim; without it nobody would know what was paid, nor why not.

Segments that mean nothing to posting (MIA's amounts, RDM, TS3, PER...) are passed over, wherever they stand.

Source: ASC X12N/005010X221A1, Health Care Claim Payment/Advice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain

from integrations.x12.answer_records import Flaw, Transaction
from integrations.x12.remittance_records import (
    Adjustment,
    Payment,
    ProviderAdjustment,
    Remittance,
    RemittanceClaim,
    RemittanceLine,
)
from integrations.x12.segments import NotX12
from integrations.x12.values import MOST_KEPT, Amounts, BadAmount, Days

DETAIL = frozenset({"LX", "TS3", "TS2", "CLP", "PLB"})  # what ends the header
BLANK = [""] * 20  # segments end early: behind these every element can be asked for
NO_CODE = ["", ""]
NOTHING = Decimal(0)
new = tuple.__new__  # what a named tuple's own class calls, in half the time: fields by place, as the record has them


def read(transaction: Transaction) -> Remittance:
    """Read the payment now, its claims as they are walked.

    An absent amount is zero: the equations of `balance` tell where that was wrong. One that cannot be read is a flaw of
    the transaction where it is information only.

    Raises:
        NotX12: not an 835, or an amount that is none; while claims are walked too.
    """
    if transaction.kind != "835":
        raise NotX12("not an 835")
    header: list[list[str]] = []
    rest = transaction.segments
    for segment in transaction.segments:
        if segment[0] in DETAIL:
            rest = chain([segment], transaction.segments)
            break
        header.append(segment)
    amounts = Amounts()
    provider_adjustments: list[ProviderAdjustment] = []
    reader = _Claims(transaction.interchange.marks.component, amounts, provider_adjustments)
    claims = _flagged(reader.walk(rest, len(header) + 2), amounts, transaction.flaws)
    return Remittance(_payment(header, amounts), claims, provider_adjustments)


def _flagged(claims: Iterator[RemittanceClaim], amounts: Amounts, flaws: list[Flaw]) -> Iterator[RemittanceClaim]:
    yield from claims
    if amounts.unread:
        flaws.append(Flaw("amount", f"Amounts that are information only cannot be read: {amounts.unread}"))


def _payment(header: list[list[str]], amounts: Amounts) -> Payment:
    days = Days()
    bpr, trn = _first(header, "BPR"), _first(header, "TRN")
    payer, payee = _party(header, "PR"), _party(header, "PE")
    payee_ids = dict(reversed(payee[1]))  # the first of a kind counts
    try:
        amount = amounts[bpr[2]]
    except BadAmount as wrong:
        raise NotX12(f"BPR02: {wrong}") from None
    return Payment(
        handling=bpr[1],
        amount=amount,
        direction=bpr[3],
        method=bpr[4],
        paid_on=days[bpr[16]],
        trace_number=trn[2],
        payer_id=trn[3],
        produced_on=days[_first(header, "DTM", "405")[2]],
        payer_name=payer[0],
        payer_ids=payer[1],
        payee_name=payee[0],
        payee_npi=payee_ids.get("XX", ""),
        payee_tax_id=payee_ids.get("TJ", "") or payee_ids.get("FI", ""),
    )


def _first(header: list[list[str]], *begins: str) -> list[str]:
    """Return the first segment that begins so, blanks behind it; only blanks where there is none."""
    length = len(begins)
    found = next((segment for segment in header if tuple(segment[:length]) == begins), [])
    return found + BLANK


def _party(header: list[list[str]], entity: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the name of the payer or payee and its ids, from N1 to the next N1."""
    name, ids, inside = "", [], False
    for segment in header:
        at = segment + BLANK
        if at[0] == "N1":
            inside = at[1] == entity
            if inside:
                name = at[2]
                ids.append((at[3], at[4]))
        elif inside and at[0] == "REF":
            ids.append((at[1], at[2]))
    return name, tuple((qualifier, value) for qualifier, value in ids if value)


class _Procedures(dict[str, tuple[str, str, tuple[str, ...]]]):
    """Qualifier, code and modifiers by the text of SVC01 or SVC06."""

    def __init__(self, component: str) -> None:
        self._component = component

    def __missing__(self, text: str) -> tuple[str, str, tuple[str, ...]]:
        qualifier, code, *modifiers = text.split(self._component) + NO_CODE
        found = qualifier, code, tuple(filter(None, modifiers[:4]))
        if len(self) < MOST_KEPT:
            self[text] = found
        return found


class _Part:
    """A claim or a line while its segments arrive. segment: the place of its head in the ST."""

    __slots__ = (
        "adjustments",
        "amounts",
        "control_number",
        "dates",
        "head",
        "names",
        "references",
        "remarks",
        "segment",
    )

    def __init__(self, head: list[str], segment: int) -> None:
        self.head = head
        self.segment = segment
        self.control_number = ""
        self.adjustments: list[Adjustment] = []
        self.amounts: list[tuple[str, Decimal]] = []
        self.dates: dict[str, str] = {}
        self.names: dict[str, list[str]] = {}
        self.references: list[tuple[str, str]] = []
        self.remarks: list[str] = []


class _Claims:
    """The claims of one transaction, and its provider adjustments into the list given."""

    def __init__(self, component: str, amounts: Amounts, provider_adjustments: list[ProviderAdjustment]) -> None:
        self._component = component
        self._amounts = amounts
        self._days = Days()
        self._procedures = _Procedures(component)
        self._provider_adjustments = provider_adjustments

    def walk(self, segments: Iterator[list[str]], first: int) -> Iterator[RemittanceClaim]:
        """Yield each claim once it is complete. first: the place of the first segment given."""
        parts: list[_Part] = []  # of the claim that is open: itself, then its lines
        part: _Part | None = None
        number, amounts = 0, self._amounts
        for place, segment in enumerate(segments, first):
            name = segment[0]
            keep = KEPT.get(name)
            try:
                if keep is not None:
                    if part is not None:
                        keep(part, segment, amounts)
                elif name == "SVC" and parts:
                    part = _Part(segment, place)
                    parts.append(part)
                elif name == "CLP":
                    if parts:
                        number += 1
                        yield self._claim(parts, number)
                    part = _Part(segment, place)
                    parts = [part]
                elif name == "PLB":
                    self._plb(segment)
            except BadAmount as wrong:
                raise NotX12(f"{wrong}, in or before segment {place}") from None
        if parts:
            yield self._finish(parts, number + 1)

    def _finish(self, parts: list[_Part], number: int) -> RemittanceClaim:
        try:
            return self._claim(parts, number)
        except BadAmount as wrong:
            raise NotX12(f"{wrong}, in the last claim") from None

    def _claim(self, parts: list[_Part], number: int) -> RemittanceClaim:
        """Make the record by place, in its own order: by name would cost a tenth of the whole."""
        claim = parts[0]
        amounts, days, names, dates = self._amounts, self._days, claim.names, claim.dates
        _, clp01, clp02, clp03, clp04, clp05, clp06, clp07, clp08, clp09, *_ = claim.head + BLANK
        responsibility = amounts.of_information(clp05) or NOTHING
        patient, insured = names.get("QC", BLANK), names.get("IL", BLANK)
        corrected, crossover = names.get("74", BLANK), names.get("TT", BLANK)
        return new(RemittanceClaim, (
            number, claim.segment, clp01, clp02, amounts[clp03], amounts[clp04], responsibility, clp06, clp07, clp08,
            clp09, tuple(claim.adjustments), patient[3], patient[4], patient[9] or insured[9],
            corrected[3], corrected[4], corrected[9], names.get("82", BLANK)[9], crossover[3], crossover[9],
            days[dates.get("232", "")], days[dates.get("233", "")], days[dates.get("050", "")],
            tuple(claim.remarks), tuple(claim.amounts), tuple(claim.references),
            tuple([self._line(parts[place], place) for place in range(1, len(parts))]),
        ))  # fmt: skip

    def _line(self, line: _Part, number: int) -> RemittanceLine:
        """Make the record by place, as a claim."""
        amounts, days, dates = self._amounts, self._days, line.dates
        _, svc01, svc02, svc03, svc04, svc05, svc06, svc07, *_ = line.head + BLANK
        qualifier, code, modifiers = self._procedures[svc01]
        original_qualifier, original, original_modifiers = self._procedures[svc06]
        begins = dates.get("472") or dates.get("150", "")
        ends = dates.get("472") or dates.get("151") or begins
        return new(RemittanceLine, (
            number, line.segment, qualifier, code, modifiers, amounts[svc02], amounts[svc03],
            svc04, svc05, original_qualifier, original, original_modifiers, svc07,
            days[begins], days[ends], line.control_number,
            tuple(line.adjustments), tuple(line.remarks), tuple(line.amounts),
        ))  # fmt: skip

    def _plb(self, segment: list[str]) -> None:
        at = segment + BLANK
        for place in range(3, len(segment), 2):
            reason, _, reference = at[place].partition(self._component)
            if reason or at[place + 1]:
                money = self._amounts[at[place + 1]]
                self._provider_adjustments.append(
                    ProviderAdjustment(at[1], self._days[at[2]], reason, reference, money)
                )


def _cas(part: _Part, segment: list[str], amounts: Amounts) -> None:
    """Keep every triplet, however many."""
    if len(segment) == 4:  # nearly always
        _, group, reason, text = segment
        part.adjustments.append(new(Adjustment, (group, reason, amounts[text], "")))
        return
    at = segment + BLANK
    for place in range(2, len(segment), 3):
        if at[place] or at[place + 1]:
            part.adjustments.append(Adjustment(at[1], at[place], amounts[at[place + 1]], at[place + 2]))


def _amt(part: _Part, segment: list[str], amounts: Amounts) -> None:
    if len(segment) > 2:
        amount = amounts.of_information(segment[2])
        if amount is not None:
            part.amounts.append((segment[1], amount))


def _dtm(part: _Part, segment: list[str], amounts: Amounts) -> None:
    if len(segment) > 2:
        part.dates[segment[1]] = segment[2]


def _ref(part: _Part, segment: list[str], amounts: Amounts) -> None:
    if len(segment) > 2:
        if segment[1] == "6R":
            part.control_number = segment[2]
        part.references.append((segment[1], segment[2]))


def _nm1(part: _Part, segment: list[str], amounts: Amounts) -> None:
    if len(segment) > 1:
        part.names.setdefault(segment[1], segment + BLANK)


def _lq(part: _Part, segment: list[str], amounts: Amounts) -> None:
    if len(segment) > 2 and segment[1] == "HE":
        part.remarks.append(segment[2])


def _moa(part: _Part, segment: list[str], amounts: Amounts) -> None:
    part.remarks.extend(filter(None, segment[3:8]))


def _mia(part: _Part, segment: list[str], amounts: Amounts) -> None:
    part.remarks.extend(filter(None, segment[5:6] + segment[20:24]))


KEPT: dict[str, Callable[[_Part, list[str], Amounts], None]] = {
    "CAS": _cas, "AMT": _amt, "DTM": _dtm, "REF": _ref, "NM1": _nm1, "LQ": _lq, "MOA": _moa, "MIA": _mia,
}  # fmt: skip
