"""Files for a clearinghouse that need no database: plain templates, so that these tests need no writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

NPI = "1234567893"
TOGETHER = "*:^~"


@dataclass(frozen=True)
class Claim:
    number: str
    lines: tuple[tuple[str, str], ...] = (("99213", "125"),)  # code, charge
    last: str = "DOE"
    first: str = "JANE"
    dependent: str = ""  # a first name
    frequency: str = "1"
    original: str = ""  # REF*F8
    payer: tuple[str, str] = ("SAMPLE HEALTH", "60054")
    total: str = ""  # another than the sum of the lines


def submission(
    *claims: Claim, number: int = 1, usage: str = "T", ack: str = "1", separators: str = TOGETHER, per_set: int = 100
) -> bytes:
    """Return an 837P interchange. number: of ISA13, GS06 and BHT03. per_set: claims in one ST."""
    sets = [claims[place : place + per_set] for place in range(0, len(claims), per_set)]
    body = "".join(_transaction(place, some, number) for place, some in enumerate(sets, start=1))
    group = f"GS*HC*CLINIC01*CLEARHOUSE01*20261105*1200*{number}*X*005010X222A1~"
    return _enveloped(f"{group}{body}GE*{len(sets)}*{number}~", number, usage, ack, separators)


def eligibility(*traces: str, number: int = 1, dependent: str = "") -> bytes:
    """Return a 270 interchange. traces: one for each question."""
    head = "BHT*0022*13*Q1*20261105*1200~HL*1**20*1~NM1*PR*2*SAMPLE HEALTH*****PI*60054~"
    head += f"HL*2*1*21*1~NM1*1P*2*SAMPLE CLINIC*****XX*{NPI}~"
    asked, level = "", 2
    for trace in traces:
        level += 1
        told = f"TRN*1*{trace}*9123456789~"
        ask = "DTP*291*D8*20261105~EQ*30~"
        if dependent:
            asked += f"HL*{level}*2*22*1~NM1*IL*1*DOE*JANE****MI*W123456789~"
            asked += f"HL*{level + 1}*{level}*23*0~{told}NM1*03*1*DOE*{dependent}~DMG*D8*20150101*F~{ask}"
            level += 1
        else:
            asked += f"HL*{level}*2*22*0~{told}NM1*IL*1*DOE*JANE****MI*W123456789~DMG*D8*19800101*F~{ask}"
    return _inquiry("HS", "270", "005010X279A1", head + asked, number)


def status_request(trace: str, *, payer_number: str = "", number: int = 1) -> bytes:
    """Return a 276 interchange with one question."""
    body = "BHT*0010*13*S1*20261105*1200~HL*1**20*1~NM1*PR*2*SAMPLE HEALTH*****PI*60054~"
    body += "HL*2*1*21*1~NM1*41*2*SAMPLE CLINIC*****46*CLINIC01~"
    body += f"HL*3*2*19*1~NM1*1P*2*SAMPLE CLINIC*****XX*{NPI}~"
    body += "HL*4*3*22*0~DMG*D8*19800101*F~NM1*IL*1*DOE*JANE****MI*W123456789~"
    body += f"TRN*1*{trace}~"
    body += f"REF*1K*{payer_number}~" if payer_number else ""
    return _inquiry("HR", "276", "005010X212", f"{body}AMT*T3*125~DTP*472*D8*20261101~", number)


def _inquiry(kind: str, code: str, version: str, body: str, number: int) -> bytes:
    count = body.count("~") + 2
    text = f"GS*{kind}*CLINIC01*CLEARHOUSE01*20261105*1200*{number}*X*{version}~ST*{code}*0001*{version}~{body}"
    return _enveloped(f"{text}SE*{count}*0001~GE*1*{number}~", number, "T", "0", TOGETHER)


def _enveloped(body: str, number: int, usage: str, ack: str, separators: str) -> bytes:
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'CLINIC01':15}*ZZ*{'CLEARHOUSE01':15}*261105*1200*^*00501*"
    text = f"{isa}{number:09d}*{ack}*{usage}*:~{body}IEA*1*{number:09d}~"
    return text.translate(str.maketrans(TOGETHER, separators)).encode()


def _transaction(place: int, claims: Sequence[Claim], number: int) -> str:
    control = f"{place:04d}"
    body = f"BHT*0019*00*B{number:09d}{control}*20261105*1200*CH~NM1*41*2*SAMPLE CLINIC*****46*CLINIC01~"
    body += "PER*IC*BILLING OFFICE*TE*5125550100~NM1*40*2*CLEARHOUSE*****46*CLEARHOUSE01~"
    body += f"HL*1**20*1~PRV*BI*PXC*207Q00000X~NM1*85*2*SAMPLE CLINIC*****XX*{NPI}~"
    body += "N3*100 MAIN ST~N4*AUSTIN*TX*787011234~REF*EI*741234567~"
    level = 1
    for claim in claims:
        text, level = _claim(claim, level + 1)
        body += text
    return f"ST*837*{control}*005010X222A1~{body}SE*{body.count('~') + 2}*{control}~"


def _claim(claim: Claim, level: int) -> tuple[str, int]:
    home = "N3*12 OAK AVE~N4*AUSTIN*TX*78702~DMG*D8*19800101*F~"
    child = bool(claim.dependent)
    text = f"HL*{level}*1*22*{int(child)}~SBR*P*{'' if child else '18'}*GRP01******CI~"
    text += f"NM1*IL*1*{claim.last}*{claim.first}****MI*W123456789~{'' if child else home}"
    text += f"NM1*PR*2*{claim.payer[0]}*****PI*{claim.payer[1]}~"
    if child:
        text += f"HL*{level + 1}*{level}*23*0~PAT*19~NM1*QC*1*{claim.last}*{claim.dependent}~{home}"
    total = claim.total or str(sum(Decimal(charge) for _, charge in claim.lines))
    text += f"CLM*{claim.number}*{total}***11:B:{claim.frequency}*Y*A*Y*Y~"
    text += f"REF*F8*{claim.original}~" if claim.original else ""
    text += "HI*ABK:E119~"
    for place, (code, charge) in enumerate(claim.lines, start=1):
        text += f"LX*{place}~SV1*HC:{code}*{charge}*UN*1***1~DTP*472*D8*20261101~REF*6R*{claim.number}{place}~"
    return text, level + child
