"""Answers questions about coverage and about claims, 271 and 277; without it nobody could be told active or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from integrations.x12.counterpart.acknowledging import money
from integrations.x12.counterpart.contents import Question
from integrations.x12.counterpart.layout import Segment, Sheet, Stamp

ELIGIBILITY, STATUS = "005010X279A1", "005010X212"
ACTIVE, INACTIVE = "1", "6"
PAID = ("F1", "65")


def answer_271(stamp: Stamp, reference: str, asked: Sequence[Question], told: Mapping[str, str]) -> Sheet:
    """Return the 271 to the questions of one 270. told: by trace, "inactive" or an AAA03 such as "75"."""
    levels = _Levels()
    segments: list[Segment] = [("BHT", "0022", "11", reference, stamp.day, stamp.time)]
    for payer, of_payer in groupby(asked, lambda question: question.payer):
        source = levels.open("", "20")
        segments += [source, ("NM1", "PR", "2", payer[0], "", "", "", "", "PI", payer[1])]
        for asker, of_asker in groupby(of_payer, lambda question: question.asker):
            receiver = levels.open(source[1], "21")
            segments += [receiver, ("NM1", "1P", "2", asker[0], "", "", "", "", "XX", asker[1])]
            for question in of_asker:
                segments += _member(levels, receiver[1], question, told.get(question.trace[0], ""), stamp.day)
    return Sheet("HB", "271", ELIGIBILITY, segments)


def answer_277(stamp: Stamp, reference: str, asked: Sequence[Question]) -> Sheet:
    """Return the 277 to the questions of one 276: each claim is paid, and has the numbers that were asked for."""
    levels = _Levels()
    segments: list[Segment] = [("BHT", "0010", "08", reference, stamp.day, stamp.time, "DG")]
    for payer, of_payer in groupby(asked, lambda question: question.payer):
        source = levels.open("", "20")
        segments += [source, ("NM1", "PR", "2", payer[0], "", "", "", "", "PI", payer[1])]
        for (asker, provider), of_one in groupby(of_payer, lambda question: (question.asker, question.provider)):
            receiver = levels.open(source[1], "21")
            segments += [receiver, ("NM1", "41", "2", asker[0], "", "", "", "", "46", asker[1])]
            service = levels.open(receiver[1], "19")
            segments += [service, ("NM1", "1P", "2", provider[0], "", "", "", "", "XX", provider[1])]
            for question in of_one:
                segments += _tracked(levels, service[1], question, stamp.day)
    return Sheet("HN", "277", STATUS, segments)


class _Levels:
    """Counts HL, and knows that the last level of each branch has no children."""

    def __init__(self) -> None:
        self._count = 0

    def open(self, parent: str, kind: str, *, has_children: bool = True) -> tuple[str, str, str, str, str]:
        self._count += 1
        return ("HL", str(self._count), parent, kind, "1" if has_children else "0")


def _member(levels: _Levels, parent: str, question: Question, word: str, day: str) -> list[Segment]:
    last, first, member_id = question.subscriber
    dependent = question.dependent
    subscriber = levels.open(parent, "22", has_children=dependent is not None)
    trace: Segment = ("TRN", "2", *question.trace)
    name: Segment = ("NM1", "IL", "1", last, first, "", "", "", "MI", member_id)
    if dependent is None:
        return [subscriber, trace, name, *_coverage(question, word, day)]
    below = levels.open(subscriber[1], "23", has_children=False)
    return [subscriber, name, below, trace, ("NM1", "03", "1", *dependent), *_coverage(question, word, day)]


def _coverage(question: Question, word: str, day: str) -> list[Segment]:
    if word and word != "inactive":
        return [("AAA", "N", "", word, "C")]
    services = question.services or ("30",)
    status = INACTIVE if word else ACTIVE
    told: list[Segment] = [("DTP", "291", "D8", day)]
    for service in services:
        told.append(
            ("EB", status, "", service, "", "SAMPLE PLAN")
            if word
            else ("EB", status, "IND", service, "C1", "SAMPLE PLAN")
        )
    if not word:
        told.append(("EB", "B", "IND", "98", "", "", "27", "20"))
    return told


def _tracked(levels: _Levels, parent: str, question: Question, day: str) -> list[Segment]:
    last, first, member_id = question.subscriber
    dependent = question.dependent
    subscriber = levels.open(parent, "22", has_children=dependent is not None)
    told: list[Segment] = [subscriber, ("NM1", "IL", "1", last, first, "", "", "", "MI", member_id)]
    if dependent is not None:
        told += [levels.open(subscriber[1], "23", has_children=False), ("NM1", "QC", "1", *dependent)]
    charge = money(question.charge) if question.charge is not None else "0"
    told += [("TRN", "2", question.trace[0]), ("STC", PAID, day, "", charge, charge, day)]
    references = (("1K", question.payer_number), ("EJ", question.account))
    told += [("REF", kind, number) for kind, number in references if number]
    return told
