"""Asks payers whether patients are covered, as 270; without it somebody would telephone.

Source: ASC X12N 005010X279A1 (270); 99 patients in a transaction: section 1.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from integrations.x12 import inquiries
from integrations.x12.envelope import Interchange
from integrations.x12.inquiries import ASKED, Parties, demographics, named, person
from integrations.x12.inquiry_records import Inquiries, InquiryParts
from integrations.x12.text import DAY, ID, Either, Field, Form, NotWritable, either

VERSION = "005010X279A1"
MOST = 99
FIRST_HL = 3
INS02 = {"01": "01", "19": "19"}  # spouse, child
OTHER_ADULT = "34"
REST = [
    Field("group_number", "2100C REF*6P", ID, 50),
    Field("service_on", "DTP*291", DAY),
    Field("service_types", "EQ01", "[0-9A-Z]{1,2}(?:,[0-9A-Z]{1,2}){0,98}", needed=True),
]
SELF = [*ASKED, *either(person("2100C", "holder_"), "holder_", "patient_"), *REST]
DEPENDENT = [
    *ASKED,
    Field("relationship", "2100D INS02", inquiries.RELATION, needed=True),
    *person("2100C", "holder_", needed=False),
    *person("2100D", "patient_"),
    *REST,
]


def write(
    envelope: Any, parts: InquiryParts, questions: Iterable[Any], *, originator: str, most: int = MOST
) -> Inquiries:
    """Return one interchange; one question alone is what a payer answers at once.

    originator: TRN03, ten characters: 1 and the clinic's tax id, or 9 and what the clinic likes.

    Raises:
        NotWritable: names the rule and the question.
    """
    if len(originator) != 10 or not originator.isalnum() or not originator.isascii():
        raise NotWritable("TRN03: ten letters and digits")
    writer = _Writer(envelope, parts, originator.upper())
    return inquiries.interchange(
        writer.interchange, questions, most=min(most, MOST), begin=writer.begin, ask=writer.ask, first_hl=FIRST_HL
    )


class _Writer:
    def __init__(self, envelope: Any, parts: InquiryParts, originator: str) -> None:
        self.interchange = Interchange(envelope, functional="HS", version=VERSION)
        foreign = self.interchange.foreign
        self.parties, self.originator = Parties(parts, foreign=foreign), originator
        self.own, self.dependent = Either(SELF, foreign=foreign), Form(DEPENDENT, foreign=foreign)

    def begin(self, question: Any, number: str, reference: str) -> str:
        return (
            f"ST*270*{number}*{VERSION}~BHT*0022*13*{reference}*{self.interchange.day}*{self.interchange.time}~"
            f"HL*1**20*1~{self.parties.payer(question.payer)}HL*2*1*21*1~{self.parties.provider(question.provider)}"
        )

    def ask(self, question: Any, hl: int) -> str:
        return self._holder(question, hl) if question.relationship == "18" else self._dependent(question, hl)

    def _holder(self, question: Any, hl: int) -> str:
        trace, member_id, last, first, birth, sex, group, day, services = self.own.read(question)
        return (
            f"HL*{hl}*2*22*0~TRN*1*{trace}*{self.originator}~{named('IL', last, first, member_id)}"
            f"{f'REF*6P*{group}~' if group else ''}{demographics(birth, sex)}{_what(day, services)}"
        )

    def _dependent(self, question: Any, hl: int) -> str:
        (
            trace, member_id, relationship, holder_last, holder_first, holder_birth, holder_sex,
            last, first, birth, sex, group, day, services,
        ) = self.dependent.read(question)  # fmt: skip
        return (
            f"HL*{hl}*2*22*1~{named('IL', holder_last, holder_first, member_id)}"
            f"{f'REF*6P*{group}~' if group else ''}{demographics(holder_birth, holder_sex)}"
            f"HL*{hl + 1}*{hl}*23*0~TRN*1*{trace}*{self.originator}~{named('03', last, first)}"
            f"{demographics(birth, sex)}INS*N*{INS02.get(relationship, OTHER_ADULT)}~{_what(day, services)}"
        )


def _what(day: str, services: str) -> str:
    return f"{f'DTP*291*D8*{day}~' if day else ''}EQ*{services.replace(',', '^')}~"
