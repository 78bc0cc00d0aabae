"""Writes simple claims as 837P a segment at a time and checks nothing; without it the writer's speed has no measure.

It knows first claims of one holder or dependent, without other payers and without what is seldom.
"""

from __future__ import annotations

from typing import Any

from integrations.x12.claim_records import Claim, Envelope, Line, Parts


def simple(claim: Claim) -> bool:
    """Can this writer write it?"""
    empty = Claim("")
    same = all(
        getattr(claim, name) == getattr(empty, name)
        for name in ("accident", "delay_reason", "onset_on", "patient_paid", "referral_number", "note", "other_payers")
    )
    return same and claim.frequency == "1" and all(plain_line(line) for line in claim.lines)


def plain_line(line: Line) -> bool:
    return not (line.ndc or line.note or line.rendering or line.prior_authorization or line.description)


def plain_837p(claims: list[Claim], envelope: Envelope, head: str, billing: dict[str, str], parts: Parts) -> str:
    """Return the interchange. head: loops 1000A and 1000B; billing: loops 2000A to 2010AB of each billing provider."""
    out = [
        f"ISA*00*          *00*          *ZZ*{envelope.isa_id_ours:15}*ZZ*{envelope.isa_id_theirs:15}"
        f"*{envelope.at:%y%m%d}*{envelope.at:%H%M}*^*00501*{envelope.interchange_number:09}*1*{envelope.usage}*:~",
        f"GS*HC*{envelope.gs_id_ours}*{envelope.gs_id_theirs}*{envelope.at:%Y%m%d}*{envelope.at:%H%M}"
        f"*{envelope.group_number}*X*005010X222A1~",
    ]
    runs: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        runs.setdefault((claim.billing, claim.payer), []).append(claim)
    for number, ((biller, _), run) in enumerate(runs.items(), start=1):
        segments = [
            f"ST*837*{number:04}*005010X222A1~",
            f"BHT*0019*00*{envelope.interchange_number:09}{number:04}*{envelope.at:%Y%m%d}*{envelope.at:%H%M}*CH~",
            *_split(head),
            *_split(billing[biller]),
        ]
        hl = 1
        for claim in run:
            hl = _claim(segments, claim, hl, parts)
        segments.append(f"SE*{len(segments) + 1}*{number:04}~")
        out += segments
    out += [f"GE*{len(runs)}*{envelope.group_number}~", f"IEA*1*{envelope.interchange_number:09}~"]
    return "".join(out)


def _claim(out: list[str], claim: Claim, hl: int, parts: Parts) -> int:
    add, holder = out.append, hl + 1
    own = claim.relationship == "18"
    add(f"HL*{holder}*1*22*{0 if own else 1}~")
    plan = "" if claim.group_number else claim.plan_name
    add(f"SBR*{claim.sequence}*{'18' if own else ''}*{claim.group_number}*{plan}*****{claim.filing_code}~")
    add(f"NM1*IL*1*{claim.holder_last}*{claim.holder_first}****MI*{claim.member_id}~")
    if own:
        second = f"*{claim.holder_line2}" if claim.holder_line2 else ""
        add(f"N3*{claim.holder_line1}{second}~")
        add(f"N4*{claim.holder_city}*{claim.holder_state}*{claim.holder_postal_code}~")
        add(f"DMG*D8*{claim.holder_birth}*{claim.holder_sex}~")
    _payer(out, parts.payers[claim.payer])
    if not own:
        hl = holder + 1
        add(f"HL*{hl}*{holder}*23*0~")
        add(f"PAT*{claim.relationship}~")
        add(f"NM1*QC*1*{claim.patient_last}*{claim.patient_first}~")
        second = f"*{claim.patient_line2}" if claim.patient_line2 else ""
        add(f"N3*{claim.patient_line1}{second}~")
        add(f"N4*{claim.patient_city}*{claim.patient_state}*{claim.patient_postal_code}~")
        add(f"DMG*D8*{claim.patient_birth}*{claim.patient_sex}~")
    _content(out, claim, parts)
    for number, line in enumerate(claim.lines, start=1):
        _line(out, claim, number, line)
    return holder if own else hl


def _payer(out: list[str], payer: Any) -> None:
    out.append(f"NM1*PR*2*{payer.name}*****PI*{payer.identifier}~")
    if payer.line1:
        out.append(f"N3*{payer.line1}~")
        out.append(f"N4*{payer.city}*{payer.state}*{payer.postal_code}~")
    for qualifier, value in reversed(payer.secondary):
        out.append(f"REF*{qualifier}*{value}~")


def _content(out: list[str], claim: Claim, parts: Parts) -> None:
    add = out.append
    add(
        f"CLM*{claim.control_number}*{_money(claim.total)}***{claim.place_of_service}:B:{claim.frequency}"
        f"*{claim.signature}*{claim.assignment}*{claim.benefits}*{claim.release}~"
    )
    if claim.trace:
        add(f"REF*D9*{claim.trace}~")
    if claim.record_number:
        add(f"REF*EA*{claim.record_number}~")
    add(f"HI*ABK:{claim.diagnoses.replace(',', '*ABF:')}~")
    provider = parts.providers[claim.rendering]
    add(f"NM1*82*1*{provider.last_name}*{provider.first_name}****XX*{provider.npi}~")
    add(f"PRV*PE*PXC*{provider.taxonomy}~")
    if claim.facility:
        where = parts.facilities[claim.facility]
        if where.name != "SAMPLE CLINIC" or claim.billing != "b1":
            add(f"NM1*77*2*{where.name}{f'*****XX*{where.npi}' if where.npi else ''}~")
            add(f"N3*{where.line1.upper()}{f'*{where.line2}' if where.line2 else ''}~")
            add(f"N4*{where.city.upper()}*{where.state}*{where.postal_code}~")


def _line(out: list[str], claim: Claim, number: int, line: Line) -> None:
    modifiers = f":{line.modifiers.replace(',', ':')}" if line.modifiers else ""
    place = "" if line.place_of_service == claim.place_of_service else line.place_of_service
    units = line.units.rstrip("0").rstrip(".") if "." in line.units else line.units
    out.append(f"LX*{number}~")
    out.append(
        f"SV1*HC:{line.code}{modifiers}*{_money(line.charge)}*{line.unit_basis}*{units}*{place}"
        f"**{line.pointers.replace(',', ':')}~"
    )
    out.append(f"DTP*472*D8*{line.from_on}~")
    out.append(f"REF*6R*{line.control_number}~")


def _money(amount: str) -> str:
    return amount.rstrip("0").rstrip(".")


def _split(segments: str) -> list[str]:
    return [f"{segment}~" for segment in segments.split("~")[:-1]]
