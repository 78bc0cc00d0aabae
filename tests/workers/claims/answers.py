"""Writes what partners answer and lets it be read; without it each test would spell out envelopes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from backend.apps.insurance.models import InboundFile, InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.tests.factories import make_claim
from backend.apps.insurance.tests.sent_claims import inbound_file, moved, sent_file
from workers.claims import reading

ISA = (
    "ISA*00*          *00*          *ZZ*THEIRS         *ZZ*OURS           *261126*0515*^*00501*{number:09d}*0*{usage}*:"
)
GROUPS = {
    "999": ("FA", "005010X231A1"),
    "277": ("HN", "005010X214"),
    "835": ("HP", "005010X221A1"),
    "271": ("HB", "005010X279A1"),
}
DAY = "20261126"
_numbers = itertools.count(1)

NAMED = "IK3*SV1*{place}*2400*8|CTX*CLM01:{number}|IK4*1:2*234*7"
Set = tuple[str, list[str]]


def content(*sets: Set, head: Sequence[str] = (), usage: str = "T", marks: str = "*:~") -> bytes:
    """Return one interchange with a group for each transaction; head: TA1s. marks: other separators."""
    number = next(_numbers)
    whole = [ISA.format(number=number, usage=usage), *head]
    for place, (kind, segments) in enumerate(sets, start=1):
        functional, version = GROUPS[kind]
        version = "005010X212" if segments and segments[0].startswith("BHT*0010") else version
        whole += [f"GS*{functional}*THEIRS*OURS*{DAY}*0515*{place}*X*{version}", f"ST*{kind}*{place:04d}*{version}"]
        whole += [*segments, f"SE*{len(segments) + 2}*{place:04d}", f"GE*1*{place}"]
    whole.append(f"IEA*{len(sets)}*{number:09d}")
    text = "".join(f"{segment}~" for segment in whole)
    return text.translate(str.maketrans("*:~", marks)).encode()


def receive(partner: TradingPartner, given: bytes, **over: Any) -> InboundFile:
    """Store a file and let it be read; return it as it stands then."""
    due = timezone.now() - timedelta(hours=1)
    fresh = {"status": "received", "work_state": "waiting", "kinds": "", "read_at": None, "due_at": due}
    file = inbound_file(partner, content=given, **{**fresh, **over})
    reading.read_due()
    file.refresh_from_db()
    return file


def ta1(sent: Interchange, verdict: str = "A", note: str = "000") -> str:
    return f"TA1*{sent.interchange_number:09d}*261126*0500*{verdict}*{note}"


def ack(sent: Interchange, verdict: str = "A", *errors: str, number: str = "0001", codes: str = "") -> Set:
    """Return a 999 about one transaction. errors: IK3 and what hangs on it."""
    overall = {"A": "A*1*1*1", "E": "E*1*1*1"}.get(verdict, "R*1*1*0")
    return "999", [
        f"AK1*HC*{sent.group_number}*005010X222A1", f"AK2*837*{number}*005010X222A1", *errors,
        f"IK5*{verdict}{codes}", f"AK9*{overall}",
    ]  # fmt: skip


def status(*stcs: str, trace: str = "", source: str = "AY*2*HOUSE*****46*HOUSE1", reference: str = "", day: str = DAY,
           more: Iterable[str] = ()) -> Set:  # fmt: skip
    """Return a 277CA about one claim. stcs: STC01, or a whole STC from its second element on."""
    written = [f"STC*{one}" if "*" in one else f"STC*{one}*{day}*WQ*150" for one in stcs]
    return "277", [
        "BHT*0085*08*REF1*20261126*0515*TH", "HL*1**20*1", f"NM1*{source}", f"TRN*1*{next(_numbers)}",
        f"DTP*050*D8*{DAY}", f"DTP*009*D8*{DAY}", "HL*2*1*21*1", "NM1*41*2*OURS*****46*S1", f"TRN*2*{reference}",
        "HL*3*2*19*1", "NM1*85*2*CLINIC*****XX*1234567893", "HL*4*3*PT", "NM1*QC*1*DOE*SAMPLE****MI*M1",
        f"TRN*2*{trace}", *written, *more,
    ]  # fmt: skip


def batch_status(stc: str, *, reference: str, level: str = "21") -> Set:
    """Return a 277CA that says something about a batch, and nothing about its claims."""
    segments = ["BHT*0085*08*REF1*20261126*0515*TH", "HL*1**20*1", "NM1*AY*2*HOUSE*****46*HOUSE1", "TRN*1*1",
                "HL*2*1*21*1", "NM1*41*2*OURS*****46*S1", f"TRN*2*{reference}"]  # fmt: skip
    if level == "19":
        segments += ["HL*3*2*19*0", "NM1*85*2*CLINIC*****XX*1234567893", "TRN*1*0"]
    return "277", [*segments, f"STC*{stc}*{DAY}*U*150"]


def remittance(*claims: list[str], paid: str, trace: str = "", plb: str = "") -> Set:
    """Return an 835 over `paid` about claims."""
    return "835", [
        f"BPR*I*{paid}*C*ACH*CCP*01*999999992*DA*123456*1512345678**01*999988880*DA*98765*{DAY}",
        f"TRN*1*{trace or f'EFT{next(_numbers)}'}*1512345678", f"DTM*405*{DAY}", "N1*PR*SAMPLE PAYER",
        "N1*PE*CLINIC*XX*1234567893", "REF*TJ*123456789", "LX*1", *(segment for claim in claims for segment in claim),
        *([plb] if plb else []),
    ]  # fmt: skip


def paid_claim(
    claim: InsuranceClaim, *lines: str, status: str = "1", charge: str = "150", paid: str = "100", patient: str = "20",
    number: str = "", more: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Return a claim of an 835; lines: SVC and what hangs on it."""
    clp = f"CLP*{number or claim.control_number}*{status}*{charge}*{paid}*{patient}*12*PAYER{claim.claim_number}*11*1"
    return [clp, *more, "NM1*QC*1*DOE*SAMPLE****MI*W123456789", *lines]


def usual_lines(claim: InsuranceClaim) -> tuple[str, ...]:
    """Return the two lines of a usual claim: 100 paid, 30 written off, 20 to the patient."""
    day, number = claim.service_date.strftime("%Y%m%d"), claim.control_number
    return (
        "SVC*HC:99213*125*80**1", f"DTM*472*{day}", "CAS*CO*45*25", "CAS*PR*3*20", f"REF*6R*{number}L1", "LQ*HE*N130",
        "SVC*HC:36415*25*20**1", f"DTM*472*{day}", "CAS*CO*45*5", f"REF*6R*{number}L2",
    )  # fmt: skip


def paid_835(claim: InsuranceClaim, **more: str) -> Set:
    return remittance(paid_claim(claim, *usual_lines(claim)), paid="100", **more)


def sent(partner: TradingPartner, count: int = 1, **over: Any) -> tuple[list[InsuranceClaim], Interchange]:
    """Save claims that went out in one file."""
    claims = [make_claim(service_date=date(2026, 10, 1), **over) for _ in range(count)]
    file = sent_file(partner, *claims)
    return [moved(claim, "submitted") for claim in claims], file


def sent_one(partner: TradingPartner, **over: Any) -> tuple[InsuranceClaim, Interchange]:
    claims, file = sent(partner, **over)
    return claims[0], file


def stands(claim: InsuranceClaim) -> tuple[str, str]:
    """Return where a claim and its last submission stand."""
    claim.refresh_from_db()
    last = Submission.objects.filter(claim=claim).order_by("pk").last()
    assert last is not None
    return claim.status, last.status


def errors(text: str, **values: object) -> list[str]:
    return text.format(**values).split("|")


def refused_beside(partner: TradingPartner, claim: InsuranceClaim, file: Interchange) -> bytes:
    """Return a 999 that refuses the transaction for a fault of another claim in it."""
    Submission.objects.filter(claim=claim).update(first_segment=31, last_segment=50)
    other, _ = sent_one(partner)
    Submission.objects.filter(claim=other).update(interchange=file, first_segment=10, last_segment=30)
    return content(ack(file, "R", *errors(NAMED, place=20, number=other.control_number)))
