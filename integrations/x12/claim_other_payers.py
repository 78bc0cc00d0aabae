"""Writes what other payers decided; without it a secondary payer could not tell what is left to pay.

Source: ASC X12N 005010X222A1, loops 2320, 2330A, 2330B and 2430.
"""

from __future__ import annotations

from typing import Any

from integrations.x12.claim_forms import Forms
from integrations.x12.claim_parts import adjustments, person_name, place
from integrations.x12.text import colons, number


def other_payers(claim: Any, forms: Forms) -> str:
    """Return loops 2320 to 2330B for all other payers; a day decided on lines is not said again here (TR3, DTP*573)."""
    on_lines = {decision.payer_identifier for line in claim.lines for decision in line.adjudications}
    return "".join(_other_payer(one, forms, dated=one.payer_identifier not in on_lines) for one in claim.other_payers)


def _other_payer(one: Any, forms: Forms, *, dated: bool) -> str:
    (
        sequence, relationship, group, plan, secondary, filing, paid, remaining, assignment, release,
        last, first, member_id,
        line1, line2, city, state, postal_code, payer_name, payer_identifier, decided_on, reference,
    ) = forms.other_payer.read(one)  # fmt: skip
    policy = f"SBR*{sequence}*{relationship}*{group}*{'' if group else plan}*{secondary}****{filing}".rstrip("*")
    return (
        f"{policy}~{adjustments(one.adjustments, '2320') if one.adjustments else ''}"
        f"{f'AMT*D*{number(paid)}~' if paid else ''}{f'AMT*EAF*{number(remaining)}~' if remaining else ''}"
        f"OI***{assignment}***{release}~NM1*IL*1*{person_name(last, first)}*MI*{member_id}~"
        f"{place(line1, line2, city, state, postal_code) if line1 else ''}"
        f"NM1*PR*2*{payer_name}*****PI*{payer_identifier}~"
        f"{f'DTP*573*D8*{decided_on}~' if dated and decided_on else ''}{f'REF*F8*{reference}~' if reference else ''}"
    )


def decisions(line: Any, forms: Forms) -> str:
    """Return loop 2430, once for each payer that decided on the line."""
    return "".join([_decision(one, forms) for one in line.adjudications])


def _decision(one: Any, forms: Forms) -> str:
    payer_identifier, paid, code, modifiers, units, decided_on, remaining = forms.decision.read(one)
    service = f"HC:{code}{colons(modifiers)}"
    return (
        f"SVD*{payer_identifier}*{number(paid)}*{service}**{number(units)}~"
        f"{adjustments(one.adjustments, '2430') if one.adjustments else ''}"
        f"DTP*573*D8*{decided_on}~{f'AMT*EAF*{number(remaining)}~' if remaining else ''}"
    )
