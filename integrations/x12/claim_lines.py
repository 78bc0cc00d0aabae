"""Writes the services of a claim; without it a payer would not know what was done.

Source: ASC X12N 005010X222A1, loops 2400 to 2430.
"""

from __future__ import annotations

from typing import Any

from integrations.x12 import claim_parts
from integrations.x12.claim_forms import Forms
from integrations.x12.claim_other_payers import OtherPayerWriter
from integrations.x12.claim_records import Parts
from integrations.x12.text import Memo, NotWritable, colons, number

MOST = 50


class LineWriter:
    """Writes lines; a service or a day it has seen before is not looked at again."""

    def __init__(self, forms: Forms, parts: Parts, others: OtherPayerWriter) -> None:
        self.forms, self.parts, self.others = forms, parts, others
        self.services, self.days, self.providers = Memo(self._service), Memo(self._days), Memo(self._provider)

    def write(self, claim: Any, place_of_service: str, codes: int) -> str:
        """Return loops 2400 to 2430; LX counts from 1. codes: how many diagnoses a line may point at."""
        if not 0 < len(claim.lines) <= MOST:
            raise NotWritable(f"2400 LX: 1 to {MOST} lines, not {len(claim.lines)}")
        if type(claim.lines[0]) is not self.forms.service.kind:
            self.forms.learn_lines(type(claim.lines[0]))
        text, of_service, fits = "", self.forms.service.values, self.forms.line.fits
        for position, line in enumerate(claim.lines, start=1):
            service, units, place, pointers, farthest, authorization, after = self.services[of_service(line)]
            if farthest > codes:
                raise NotWritable(f"2400 SV107: points at code {farthest} of {codes}")
            charge, control_number = line.charge, line.control_number
            if not fits(f"{charge}\x1f{control_number}"):
                charge, control_number = self.forms.line.read(line)
            text += (
                f"LX*{position}~SV1*HC:{service}*{charge[:-3] if charge[-3:] == '.00' else charge.rstrip('0')}*{units}"
                f"*{'' if place == place_of_service else place}**{pointers}~{self.days[line.from_on, line.to_on]}"
                f"{authorization}{f'REF*6R*{control_number}~' if control_number else ''}{after}"
            )
            if line.rendering or line.adjudications:
                text += self._rendering(claim, line) + self.others.decisions(line)
        return text

    def _service(self, values: tuple[str, ...]) -> tuple[str, str, str, str, int, str, str]:
        """Return SV101, SV103 with SV104, SV105, SV107 to SV109, its farthest pointer, REF*G1, what follows REF*6R."""
        (
            code, modifiers, description, basis, units, place, pointers, emergency, authorization, note,
            ndc, quantity, unit,
        ) = self.forms.service.fit(values)  # fmt: skip
        if ndc and not (quantity and unit):
            raise NotWritable("2410 CTP: a drug needs its quantity and unit")
        drug = f"LIN**N4*{ndc}~CTP****{number(quantity)}*{unit}~" if ndc else ""
        service = f"{code}{colons(modifiers)}"
        return (
            f"{service}{':' * (5 - service.count(':'))}{description}" if description else service,
            f"{basis}*{number(units)}",
            place,
            f"{pointers.replace(',', ':')}{f'**{emergency}' if emergency else ''}",
            max(map(int, pointers.split(","))),
            f"REF*G1*{authorization}~" if authorization else "",
            f"{f'NTE*ADD*{note}~' if note else ''}{drug}",
        )

    def _days(self, values: tuple[str, str]) -> str:
        first, last = self.forms.days.fit(values)
        return f"DTP*472*RD8*{first}-{last}~" if last and last != first else f"DTP*472*D8*{first}~"

    def _rendering(self, claim: Any, line: Any) -> str:
        """Return loop 2420A where another person than that of the claim gave the service."""
        if not line.rendering or line.rendering == claim.rendering:
            return ""
        npi, text = self.providers[line.rendering]
        usual = self.parts.providers[claim.rendering] if claim.rendering else self.parts.billing[claim.billing]
        return "" if npi == usual.npi else text

    def _provider(self, key: str) -> tuple[str, str]:
        one = claim_parts.found(self.parts.providers, key, "2420A")
        return one.npi, claim_parts.rendering(one, self.forms)
