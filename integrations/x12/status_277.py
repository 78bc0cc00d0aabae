"""Reads a 277CA and the answer to a 276; without it a claim refused before it was decided would wait for ever.

Source: ASC X12N/005010X214 (277CA), ASC X12N/005010X212 (276/277).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from integrations.x12.answer_records import ClaimStatus, StatusCode, StatusReport, Transaction
from integrations.x12.segments import NotX12
from integrations.x12.values import amount_if_any, day, span

BLANK = [""] * 13
LEVELS = {"20": "source", "21": "receiver", "19": "provider", "PT": "patient", "22": "patient", "23": "patient"}
SOURCES = frozenset({"PR", "AY"})
PROVIDERS = frozenset({"85", "1P"})
PATIENTS = frozenset({"QC", "IL"})


def read(transaction: Transaction) -> StatusReport:
    """Read the head now, the statuses as they are walked.

    Raises:
        NotX12: not a 277.
    """
    if transaction.kind != "277":
        raise NotX12("not a 277")
    first = next(transaction.segments, [""])
    bht = (first if first[0] == "BHT" else []) + BLANK
    rest = transaction.segments if bht[0] else chain([first], transaction.segments)
    acknowledges = "X214" in transaction.version or bht[1] == "0085" or bht[6] == "TH"
    walk = _Walk(transaction.interchange.marks.component).statuses(rest, 3 if bht[0] else 2)
    return StatusReport("277CA" if acknowledges else "277", bht[3], day(bht[4]), walk)


class _Walk:
    """Where in the levels the walk is, and the STCs whose references are still to come."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._level = ""
        self._ids = {"source": "", "provider": "", "patient": ""}
        self._batch_reference = ""
        self._open_claim("")
        self._pending: list[tuple[int, list[str]]] = []

    def statuses(self, segments: Iterator[list[str]], first: int) -> Iterator[ClaimStatus]:
        """Yield a status for each STC. first: the place of the first segment given."""
        for place, segment in enumerate(segments, first):
            at = segment + BLANK
            match at[0]:
                case "STC":
                    self._pending.append((place, at))
                case "REF":
                    self._references.setdefault(at[1], at[2])
                case "DTP" if at[1] == "472":
                    self._service = span(at[2], at[3])
                case "NM1":
                    self._name(at)
                case "HL":
                    yield from self._flush()
                    self._open_level(at[3])
                case "TRN":
                    yield from self._flush()
                    self._open_claim(at[2])
                case "SVC":
                    yield from self._flush()
                    self._open_line(at)
        yield from self._flush()

    def _open_level(self, code: str) -> None:
        self._level = LEVELS.get(code, code)
        self._open_claim("")
        if code != "23":  # a dependent is known by the subscriber's number
            self._ids["patient"] = ""
        if self._level == "receiver":
            self._batch_reference = ""
        if self._level in {"source", "receiver", "provider"}:
            self._ids["provider"] = ""

    def _open_claim(self, trace: str) -> None:
        self._trace = trace
        self._line = BLANK
        self._references: dict[str, str] = {}
        self._service = day(""), day("")
        if self._level == "receiver":
            self._batch_reference = trace

    def _open_line(self, svc: list[str]) -> None:
        self._line = svc
        self._references.pop("FJ", None)
        self._service = day(""), day("")

    def _name(self, nm1: list[str]) -> None:
        for kind, entities in (("source", SOURCES), ("provider", PROVIDERS), ("patient", PATIENTS)):
            if nm1[1] in entities and nm1[9]:
                self._ids[kind] = nm1[9]

    def _flush(self) -> Iterator[ClaimStatus]:
        for place, stc in self._pending:
            yield self._status(place, stc)
        self._pending.clear()

    def _status(self, place: int, stc: list[str]) -> ClaimStatus:
        svc, references = self._line, self._references
        return ClaimStatus(
            level="line" if svc[0] else self._level,
            statuses=tuple(self._code(text) for text in (stc[1], stc[10], stc[11]) if text) or (self._code(""),),
            action=stc[3],
            stated_on=day(stc[2]),
            charge=amount_if_any(stc[4]),
            paid=amount_if_any(stc[5]),
            decided_on=day(stc[6]),
            paid_on=day(stc[8]),
            payment_number=stc[9],
            trace=self._trace,
            batch_reference=self._batch_reference,
            payer_claim_number=references.get("1K", ""),
            clearinghouse_number=references.get("D9", ""),
            bill_type=references.get("BLT", ""),
            patient_account=references.get("EJ", ""),
            service_from=self._service[0],
            service_to=self._service[1],
            line_control_number=references.get("FJ", "") if svc[0] else "",
            procedure=([*svc[1].split(self._component), ""])[1],
            line_charge=amount_if_any(svc[2]),
            member_id=self._ids["patient"],
            provider_id=self._ids["provider"],
            source_id=self._ids["source"],
            message=stc[12],
            position=place,
        )

    def _code(self, text: str) -> StatusCode:
        category, code, entity = [*text.split(self._component), "", "", ""][:3]
        return StatusCode(category.strip().upper(), code.strip(), entity.strip())
