"""Holds what questions to payers share: who asks whom about whom; without it 270 and 276 would each say it anew.

Questions come in runs of one payer and one provider; each run is an ST, or several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from integrations.x12.claim_parts import found
from integrations.x12.envelope import Interchange
from integrations.x12.inquiry_records import Asked, Inquiries, InquiryParts
from integrations.x12.text import DAY, ID, TEXT, TOKEN, Field, Form, NotWritable

SEX, RELATION = "[FMU]", "[0-9A-Z]{2}"
KNOWN_SEXES = {"F", "M"}
PAYER = [Field("identifier", "NM1*PR NM109", ID, 80, True), Field("name", "NM1*PR NM103", TEXT, 60, True)]
PROVIDER = [
    Field("npi", "NM1*1P NM109", r"\d{10}", needed=True),
    Field("name", "NM1*1P NM103", TEXT, 60),
    Field("last_name", "NM1*1P NM103", TEXT, 60),
    Field("first_name", "NM1*1P NM104", TEXT, 35),
]
ASKED = [Field("trace", "TRN02", TOKEN, 50, True), Field("member_id", "NM1*IL NM109", ID, 80, True)]


def person(segment: str, prefix: str, *, needed: bool = True) -> list[Field]:
    """Return last and first name, day of birth and sex."""
    return [
        Field(f"{prefix}last", f"{segment} NM103", TEXT, 60, True),
        Field(f"{prefix}first", f"{segment} NM104", TEXT, 35),
        Field(f"{prefix}birth", f"{segment} DMG02", DAY, 0, needed),
        Field(f"{prefix}sex", f"{segment} DMG03", SEX),
    ]


class Parties:
    """Writes payers and providers."""

    def __init__(self, parts: InquiryParts, *, foreign: str) -> None:
        self.parts = parts
        self.payers, self.providers = Form(PAYER, foreign=foreign), Form(PROVIDER, foreign=foreign)

    def payer(self, key: str) -> str:
        identifier, name = self.payers.read(found(self.parts.payers, key, "NM1*PR"))
        return f"NM1*PR*2*{name}*****PI*{identifier}~"

    def provider(self, key: str) -> str:
        one = found(self.parts.providers, key, "NM1*1P")
        npi, name, last, first = self.providers.read(one)
        if not (last if one.is_person else name):
            raise NotWritable("NM1*1P NM103: missing", key)
        return f"NM1*1P*1*{last}*{first}****XX*{npi}~" if one.is_person else f"NM1*1P*2*{name}*****XX*{npi}~"


def interchange(
    opened: Interchange,
    questions: Iterable[Any],
    *,
    most: int,
    begin: Callable[[Any, str, str], str],
    ask: Callable[[Any, int], str],
    first_hl: int,
) -> Inquiries:
    """Return all questions as one interchange.

    begin makes of a question, ST02 and BHT03 the segments from ST to the last HL that questions share, which is number
    first_hl - 1. ask makes of a question and the number of its first HL its own segments.

    Raises:
        NotWritable: names the rule and the question, or the payer or provider that several questions share.
    """
    out, asked = [opened.opening()], list[Asked]()
    run, number, segments, hl, taken = ("", ""), 0, 0, 0, 0
    for question in questions:
        try:
            if (question.payer, question.provider) != run or taken >= most:
                out.append(f"SE*{segments + 1}*{number:04}~" if number else "")
                run, number, hl, taken = (question.payer, question.provider), number + 1, first_hl, 0
                out.append(begin(question, f"{number:04}", opened.reference(number)))
                segments = out[-1].count("~")
            text = ask(question, hl)
        except NotWritable as problem:
            raise NotWritable(problem.rule, problem.row or question.id) from None
        out.append(text)
        hl, segments, taken = hl + text.count("~HL*") + 1, segments + text.count("~"), taken + 1
        asked.append(Asked(question.id, f"{number:04}", opened.reference(number), question.trace.upper()))
    if not number:
        raise NotWritable("ST: an interchange needs a question")
    out.append(f"SE*{segments + 1}*{number:04}~{opened.closing(number)}")
    return Inquiries(opened.encode("".join(out)), asked)


def demographics(birth: str, sex: str) -> str:
    """Return DMG; questions, unlike claims, have no code for a sex that is not known."""
    return f"DMG*D8*{birth}{f'*{sex}' if sex in KNOWN_SEXES else ''}~" if birth else ""


def named(code: str, last: str, first: str, member_id: str = "") -> str:
    tail = f"{first}****MI*{member_id}" if member_id else first
    return f"NM1*{code}*1*{last}{f'*{tail}' if tail else ''}~"
