"""Writes what other payers decided; without it a secondary payer could not tell what is left to pay.

Source: ASC X12N 005010X222A1, loops 2320, 2330A, 2330B and 2430.
"""

from __future__ import annotations

from typing import Any

from integrations.x12.claim_forms import Forms
from integrations.x12.claim_parts import adjustments, place_if_whole
from integrations.x12.text import Memo, colons, number


class OtherPayerWriter:
    """Writes other payers and their decisions; what many decisions share is not looked at again."""

    def __init__(self, forms: Forms) -> None:
        self.forms, self.decided = forms, Memo(self._decided)

    def payers(self, claim: Any) -> str:
        """Return loops 2320 to 2330B; what lines say is not said again here (TR3, DTP*573 and AMT*EAF)."""
        decisions = [decision for line in claim.lines for decision in line.adjudications]
        dated = {decision.payer_identifier for decision in decisions}
        summed = {decision.payer_identifier for decision in decisions if decision.remaining}
        return "".join([self._payer(one, dated, summed) for one in claim.other_payers])

    def _payer(self, one: Any, dated: set[str], summed: set[str]) -> str:
        (
            sequence, relationship, group, plan, secondary, filing, paid, remaining, assignment, release,
            last, first, member_id, line1, line2, city, state, postal_code,
            payer_name, payer_identifier, decided_on, reference,
        ) = self.forms.other_payer.read(one)  # fmt: skip
        dated_here = decided_on and one.payer_identifier not in dated
        summed_here = remaining and one.payer_identifier not in summed
        policy = f"SBR*{sequence}*{relationship}*{group}*{'' if group else plan}*{secondary}****{filing}".rstrip("*")
        return (
            f"{policy}~{adjustments(one.adjustments, '2320') if one.adjustments else ''}"
            f"{f'AMT*D*{number(paid)}~' if paid else ''}{f'AMT*EAF*{number(remaining)}~' if summed_here else ''}"
            f"OI***{assignment}***{release}~NM1*IL*1*{last}*{first}****MI*{member_id}~"
            f"{place_if_whole(line1, line2, city, state, postal_code)}"
            f"NM1*PR*2*{payer_name}*****PI*{payer_identifier}~"
            f"{f'DTP*573*D8*{decided_on}~' if dated_here else ''}{f'REF*F8*{reference}~' if reference else ''}"
        )

    def decisions(self, line: Any) -> str:
        """Return loop 2430, once for each payer that decided on the line."""
        text = ""
        for one in line.adjudications:
            if type(one) is not self.forms.decision.kind:
                self.forms.learn_decisions(type(one))
            payer_identifier, service, day = self.decided[self.forms.decided.values(one)]
            paid, remaining = self.forms.decision.read(one)
            text += (
                f"SVD*{payer_identifier}*{number(paid)}*{service}~"
                f"{adjustments(one.adjustments, '2430') if one.adjustments else ''}"
                f"{day}{f'AMT*EAF*{number(remaining)}~' if remaining else ''}"
            )
        return text

    def _decided(self, values: tuple[str, ...]) -> tuple[str, str, str]:
        """Return SVD01, SVD03 to SVD05, and DTP*573."""
        payer_identifier, code, modifiers, units, day = self.forms.decided.fit(values)
        return payer_identifier, f"HC:{code}{colons(modifiers)}**{number(units)}", f"DTP*573*D8*{day}~"
