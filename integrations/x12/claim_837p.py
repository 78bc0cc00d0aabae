"""Writes professional claims as 837P; without it a claim would leave the clinic on paper.

A claim costs a handful of formatted strings: what many claims share is rendered once per file, and all values of a
claim are checked by one expression (text.Form). Memory does not grow with the number of claims.

Source: ASC X12N 005010X222A1 (837P), sections 2.3 and 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from integrations.x12 import claim_parts
from integrations.x12.claim_forms import SELDOM, Forms
from integrations.x12.claim_lines import LineWriter
from integrations.x12.claim_other_payers import OtherPayerWriter
from integrations.x12.claim_parts import found, same_place
from integrations.x12.claim_records import Parts, Placed, Written
from integrations.x12.envelope import Interchange
from integrations.x12.text import Memo, NotWritable, number

VERSION = "005010X222A1"
MOST_CLAIMS = 5_000  # of one ST: TR3, section 1.4.2.1
SEGMENTS_BEFORE_HL = 5  # ST, BHT, NM1*41, PER, NM1*40
CAR = "AA"  # CLM11-4, the state, stands beside this cause alone
new = tuple.__new__  # half the time of Placed(...)
NOTHING, NONE = ("",) * len(SELDOM), ("", "", "")


class Writer837P:
    """One interchange, written in as many calls as the caller likes.

    `parts` are claim_records.Parts; all records may be any with these attributes. Claims come in runs of one billing
    provider and one payer: each run is an ST, or several of `most_claims` each.
    """

    def __init__(
        self, envelope: Any, submitter: Any, receiver: Any, parts: Parts, *, most_claims: int = MOST_CLAIMS
    ) -> None:
        self.interchange = Interchange(envelope, functional="HC", version=VERSION)
        self.forms = Forms(self.interchange.foreign)
        self.parts = parts
        self.header = claim_parts.header(submitter, receiver, foreign=self.interchange.foreign)
        self.most_claims = min(most_claims, MOST_CLAIMS)
        self._remember()
        self.transactions = self.claims = self.segments = self.hl = 0
        self.run = ("", "")
        self.payer = self.set_number = self.reference = ""
        self.begun = False

    def _remember(self) -> None:
        forms, parts = self.forms, self.parts
        self.others = OtherPayerWriter(forms)
        self.lines = LineWriter(forms, parts, self.others)
        self.terms, self.people = Memo(self._terms), Memo(self._people)
        self.billing = Memo(lambda key: claim_parts.billing_provider(found(parts.billing, key, "2010AA"), forms))
        self.payers = Memo(lambda key: claim_parts.payer(found(parts.payers, key, "2010BB"), forms))

    def write(self, claims: Iterable[Any]) -> Written:
        """Return the next bytes.

        Raises:
            NotWritable: names the rule and the claim. Nothing was written: the others can be given again.
        """
        before = dict(vars(self))
        out, placed = [] if self.begun else [self.interchange.opening()], list[Placed]()
        self.begun = True
        try:
            for claim in claims:
                if (claim.billing, claim.payer) != self.run or self.claims >= self.most_claims:
                    out.append(self._next_transaction(claim))
                if type(claim) is not self.forms.terms.kind:
                    self.forms.learn_claims(type(claim))
                text, control_number = (self._of_holder if claim.relationship == "18" else self._of_dependent)(claim)
                out.append(text)
                first = self.segments + 1
                self.segments += text.count("~")
                self.claims += 1
                where = (claim.id, self.set_number, self.reference, control_number, first, self.segments)
                placed.append(new(Placed, where))
        except NotWritable as problem:
            vars(self).update(before)
            raise NotWritable(problem.rule, claim.id) from None
        return Written(self.interchange.encode("".join(out)), placed)

    def close(self) -> bytes:
        """Return the last bytes. An interchange without claims is not written: do not close one."""
        if not self.transactions:
            raise NotWritable("ST: an interchange needs a claim")
        return self.interchange.encode(self._transaction_end() + self.interchange.closing(self.transactions))

    def _next_transaction(self, claim: Any) -> str:
        end = self._transaction_end()
        billing = self.billing[claim.billing]
        self.transactions += 1
        self.run, self.claims, self.hl = (claim.billing, claim.payer), 0, 1
        self.segments = SEGMENTS_BEFORE_HL + billing.count("~")
        self.set_number, self.reference = f"{self.transactions:04}", self.interchange.reference(self.transactions)
        self.payer = self.payers[claim.payer]
        return (
            f"{end}ST*837*{self.set_number}*{VERSION}~"
            f"BHT*0019*00*{self.reference}*{self.interchange.day}*{self.interchange.time}*CH~{self.header}{billing}"
        )

    def _transaction_end(self) -> str:
        return f"SE*{self.segments + 1}*{self.transactions:04}~" if self.transactions else ""

    def _of_holder(self, claim: Any) -> tuple[str, str]:
        (
            member_id, last, first, line1, line2, city, state, postal_code, birth, sex,
            control_number, total, diagnoses, trace, record,
        ) = self.forms.own.read(claim)  # fmt: skip
        sequence, policy, place_of_service, terms = self.terms[self.forms.terms.values(claim)]
        self.hl += 1
        head = (
            f"HL*{self.hl}*1*22*0~SBR*{sequence}*18{policy}"
            f"NM1*IL*1*{last}*{first}****MI*{member_id}~N3*{line1}{'*' + line2 if line2 else ''}~"
            f"N4*{city}*{state}*{postal_code}~DMG*D8*{birth}*{sex}~{self.payer}"
            f"CLM*{control_number}*{number(total)}{terms}"
        )
        return head + self._after(claim, diagnoses, trace, record, place_of_service), control_number

    def _of_dependent(self, claim: Any) -> tuple[str, str]:
        (
            member_id, relationship, holder_last, holder_first,
            last, first, line1, line2, city, state, postal_code, birth, sex,
            control_number, total, diagnoses, trace, record,
        ) = self.forms.dependent.read(claim)  # fmt: skip
        sequence, policy, place_of_service, terms = self.terms[self.forms.terms.values(claim)]
        holder = self.hl + 1
        self.hl += 2
        head = (
            f"HL*{holder}*1*22*1~SBR*{sequence}*{policy}"
            f"NM1*IL*1*{holder_last}*{holder_first}****MI*{member_id}~{self.payer}"
            f"HL*{holder + 1}*{holder}*23*0~PAT*{relationship}~NM1*QC*1*{last}{'*' + first if first else ''}~"
            f"N3*{line1}{'*' + line2 if line2 else ''}~N4*{city}*{state}*{postal_code}~DMG*D8*{birth}*{sex}~"
            f"CLM*{control_number}*{number(total)}{terms}"
        )
        return head + self._after(claim, diagnoses, trace, record, place_of_service), control_number

    def _after(self, claim: Any, diagnoses: str, trace: str, record: str, place_of_service: str) -> str:
        """Return what follows CLM09: the rest of loop 2300, and loops 2310A to 2430."""
        tail, more, note = NONE if self.forms.seldom.values(claim) == NOTHING else self._seldom(claim)
        people = self.people[claim.billing, claim.referring, claim.rendering, claim.facility]
        others = self.others.payers(claim) if claim.other_payers else ""
        return (
            f"{tail}~{more}{f'REF*D9*{trace}~' if trace else ''}{f'REF*EA*{record}~' if record else ''}"
            f"{note}HI*ABK:{diagnoses.replace(',', '*ABF:')}~{people}"
            f"{others}{self.lines.write(claim, place_of_service, diagnoses.count(',') + 1)}"
        )

    def _terms(self, values: tuple[str, ...]) -> tuple[str, str, str, str]:
        """Return SBR01, what follows SBR02, the place of service, and CLM03 to CLM09."""
        (
            sequence, group, plan, secondary, filing, place_of_service, frequency,
            signature, assignment, benefits, release,
        ) = self.forms.terms.fit(values)  # fmt: skip
        return (
            sequence,
            f"*{group}*{'' if group else plan}*{secondary}****{filing}~",
            place_of_service,
            f"***{place_of_service}:B:{frequency}*{signature}*{assignment}*{benefits}*{release}",
        )

    def _seldom(self, claim: Any) -> tuple[str, str, str]:
        """Return CLM11 and after, what stands between CLM and REF*D9, and NTE."""
        (
            accident, state, delay, note, onset, treated, accident_on, menstrual, admitted, discharged,
            paid, referral, authorization, original, clia,
        ) = self.forms.seldom.read(claim)  # fmt: skip
        tail = ""
        if accident:
            causes = accident.split(",")
            tail = f"**{':'.join([*causes, '', ''][:3])}:{state if CAR in causes else ''}".rstrip(":")
        if delay:
            tail = f"{tail or '**'}{'*' * 9}{delay}"
        more = (
            f"{f'DTP*431*D8*{onset}~' if onset else ''}{f'DTP*454*D8*{treated}~' if treated else ''}"
            f"{f'DTP*439*D8*{accident_on}~' if accident_on else ''}{f'DTP*484*D8*{menstrual}~' if menstrual else ''}"
            f"{f'DTP*435*D8*{admitted}~' if admitted else ''}{f'DTP*096*D8*{discharged}~' if discharged else ''}"
            f"{f'AMT*F5*{number(paid)}~' if paid else ''}{f'REF*9F*{referral}~' if referral else ''}"
            f"{f'REF*G1*{authorization}~' if authorization else ''}{f'REF*F8*{original}~' if original else ''}"
            f"{f'REF*X4*{clia}~' if clia else ''}"
        )
        return tail, more, f"NTE*ADD*{note}~" if note else ""

    def _people(self, key: tuple[str, str, str, str]) -> str:
        """Return loops 2310A to 2310C: who bills is not named again, nor where it is."""
        billing, referring, rendering, facility = key
        bills, text = found(self.parts.billing, billing, "2010AA"), ""
        if referring:
            text = claim_parts.referring(found(self.parts.providers, referring, "2310A"), self.forms)
        if rendering and (who := found(self.parts.providers, rendering, "2310B")).npi != bills.npi:
            text += claim_parts.rendering(who, self.forms)
        if facility and not same_place(where := found(self.parts.facilities, facility, "2310C"), bills):
            text += claim_parts.facility(where, self.forms)
        return text
