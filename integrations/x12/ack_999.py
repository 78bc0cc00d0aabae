"""Reads a 999, and the older 997; without it nobody would know which of our transactions the partner could not read.

IK4's copy of our data is dropped: it may be a patient's.

Source: ASC X12C/005010X231A1, Implementation Acknowledgment for Health Care Insurance; X12 997 005010.
"""

from __future__ import annotations

from integrations.x12.answer_records import Ack999, ElementError, SegmentError, SetAck, Transaction
from integrations.x12.segments import NotX12
from integrations.x12.values import whole

BLANK = [""] * 10
UNITS = frozenset({"CLM01", "TRN02"})  # what a CTX names a business unit of ours by


def read(transaction: Transaction) -> Ack999:
    """Read the whole answer.

    Raises:
        NotX12: not a 999 or 997, or it does not say which group it answers.
    """
    if transaction.kind not in {"999", "997"}:
        raise NotX12("not a 999")
    ak1, ak9 = BLANK, BLANK
    sets: list[_Set] = []
    for place, segment in enumerate(transaction.segments, 2):
        match segment[0]:
            case "AK1":
                ak1 = segment + BLANK
            case "AK2":
                sets.append(_Set(segment + BLANK, place))
            case "AK9":
                ak9 = segment + BLANK
            case _ if sets:
                sets[-1].take(segment + BLANK, transaction.interchange.marks.component)
    if not ak1[2]:
        raise NotX12("a 999 that names no group")
    return Ack999(
        group_number=ak1[2],
        functional_id=ak1[1],
        version=ak1[3],
        verdict=ak9[1],
        codes=tuple(filter(None, ak9[5:10])),
        sets_included=whole(ak9[2]),
        sets_received=whole(ak9[3]),
        sets_accepted=whole(ak9[4]),
        sets=tuple(each.record() for each in sets),
    )


class _Set:
    """One AK2 while its segments arrive."""

    def __init__(self, ak2: list[str], place: int) -> None:
        self._ak2, self._place = ak2, place
        self._ik5 = BLANK
        self._errors: list[_Error] = []

    def take(self, segment: list[str], component: str) -> None:
        match segment[0]:
            case "IK3" | "AK3":
                self._errors.append(_Error(segment))
            case "IK4" | "AK4" if self._errors:
                self._errors[-1].elements.append(_element(segment, component))
            case "CTX" if self._errors:
                self._errors[-1].context(segment, component)
            case "IK5" | "AK5":
                self._ik5 = segment

    def record(self) -> SetAck:
        return SetAck(
            control_number=self._ak2[2],
            kind=self._ak2[1],
            version=self._ak2[3],
            verdict=self._ik5[1],
            codes=tuple(filter(None, self._ik5[2:7])),
            errors=tuple(error.record() for error in self._errors),
            segment=self._place,
        )


class _Error:
    """One IK3 while its segments arrive; a CTX may stand before or behind the IK4s."""

    def __init__(self, ik3: list[str]) -> None:
        self._ik3 = ik3
        self._claim = ""
        self._triggers: list[tuple[str, int]] = []
        self.elements: list[ElementError] = []

    def context(self, ctx: list[str], component: str) -> None:
        name, _, value = ctx[1].partition(component)
        if name.strip().upper() in UNITS:
            self._claim = self._claim or value
        elif ctx[2]:
            self._triggers.append((ctx[2], whole(ctx[3]) or 0))

    def record(self) -> SegmentError:
        return SegmentError(
            segment_id=self._ik3[1],
            position=whole(self._ik3[2]) or 0,
            loop=self._ik3[3],
            code=self._ik3[4],
            claim=self._claim,
            triggers=tuple(self._triggers),
            elements=tuple(self.elements),
        )


def _element(ik4: list[str], component: str) -> ElementError:
    places = [whole(text) or 0 for text in ik4[1].split(component)] + [0, 0]
    return ElementError(element=places[0], component=places[1], repeat=places[2], reference=ik4[2], code=ik4[3])
