"""Asks payers what became of claims, as 276; without it a claim that nobody answers would be found by its deadline.

Source: ASC X12N 005010X212 (276), loops 2000A to 2200E.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from integrations.x12 import inquiries
from integrations.x12.envelope import Interchange
from integrations.x12.inquiries import ASKED, Parties, demographics, named, person
from integrations.x12.inquiry_records import Inquiries, InquiryParts
from integrations.x12.text import DAY, ID, MONEY, TEXT, TOKEN, Either, Field, Form, either, number

VERSION = "005010X212"
MOST = 1_000
FIRST_HL = 4
SUBMITTER = [
    Field("identifier", "2100B NM109", ID, 80, True),
    Field("name", "2100B NM103", TEXT, 60, True),
]
REST = [
    Field("group_number", "2200 REF*6P", ID, 50),
    Field("control_number", "2200 REF*EJ", TOKEN, 20),
    Field("payer_claim_number", "2200 REF*1K", ID, 50),
    Field("total", "2200 AMT*T3", MONEY),
    Field("from_on", "2200 DTP*472", DAY, needed=True),
    Field("to_on", "2200 DTP*472", DAY),
]
SELF = [*ASKED, *either(person("2000D", "holder_"), "holder_", "patient_"), *REST]
DEPENDENT = [
    *ASKED,
    Field("holder_last", "2100D NM103", TEXT, 60, True),
    Field("holder_first", "2100D NM104", TEXT, 35),
    *person("2000E", "patient_"),
    *REST,
]


def write(
    envelope: Any, submitter: Any, parts: InquiryParts, questions: Iterable[Any], *, most: int = MOST
) -> Inquiries:
    """Return one interchange. submitter: a claim_records.Submitter, who receives the answers.

    Raises:
        NotWritable: names the rule and the question.
    """
    writer = _Writer(envelope, submitter, parts)
    return inquiries.interchange(
        writer.interchange, questions, most=most, begin=writer.begin, ask=writer.ask, first_hl=FIRST_HL
    )


class _Writer:
    def __init__(self, envelope: Any, submitter: Any, parts: InquiryParts) -> None:
        self.interchange = Interchange(envelope, functional="HR", version=VERSION)
        foreign = self.interchange.foreign
        identifier, name = Form(SUBMITTER, foreign=foreign).read(submitter)
        self.receiver = f"NM1*41*2*{name}*****46*{identifier}~"
        self.parties = Parties(parts, foreign=foreign)
        self.own, self.dependent = Either(SELF, foreign=foreign), Form(DEPENDENT, foreign=foreign)

    def begin(self, question: Any, number: str, reference: str) -> str:
        return (
            f"ST*276*{number}*{VERSION}~BHT*0010*13*{reference}*{self.interchange.day}*{self.interchange.time}~"
            f"HL*1**20*1~{self.parties.payer(question.payer)}HL*2*1*21*1~{self.receiver}"
            f"HL*3*2*19*1~{self.parties.provider(question.provider)}"
        )

    def ask(self, question: Any, hl: int) -> str:
        return self._holder(question, hl) if question.relationship == "18" else self._dependent(question, hl)

    def _holder(self, question: Any, hl: int) -> str:
        trace, member_id, last, first, birth, sex, *rest = self.own.read(question)
        return f"HL*{hl}*3*22*0~{demographics(birth, sex)}{named('IL', last, first, member_id)}{_claim(trace, rest)}"

    def _dependent(self, question: Any, hl: int) -> str:
        trace, member_id, holder_last, holder_first, last, first, birth, sex, *rest = self.dependent.read(question)
        return (
            f"HL*{hl}*3*22*1~{named('IL', holder_last, holder_first, member_id)}"
            f"HL*{hl + 1}*{hl}*23~{demographics(birth, sex)}{named('QC', last, first)}{_claim(trace, rest)}"
        )


def _claim(trace: str, rest: list[str]) -> str:
    group, control_number, payers, total, first, last = rest
    days = f"RD8*{first}-{last}" if last and last != first else f"D8*{first}"
    return (
        f"TRN*1*{trace}~{f'REF*1K*{payers}~' if payers else ''}{f'REF*6P*{group}~' if group else ''}"
        f"{f'REF*EJ*{control_number}~' if control_number else ''}{f'AMT*T3*{number(total)}~' if total else ''}"
        f"DTP*472*{days}~"
    )
