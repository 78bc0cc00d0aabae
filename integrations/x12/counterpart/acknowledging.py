"""Writes TA1, 999 and 277CA from templates; without it no claim would ever be told that it arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from integrations.x12.counterpart.arrivals import Arrival, Fault, Group, Transaction
from integrations.x12.counterpart.contents import SeenClaim
from integrations.x12.counterpart.layout import Segment, Sheet, Stamp

ACKNOWLEDGEMENT, CLAIM_STATUS = "005010X231A1", "005010X214"
MOST_FAULTS = 50  # told for one transaction


@dataclass(frozen=True, slots=True)
class Word:
    """What is said about one claim: STC01, as ("A2", "20"), and the payer's number once it has one."""

    claim: SeenClaim
    status: tuple[str, ...]
    payer_number: str = ""

    @property
    def is_good(self) -> bool:
        return self.status[0] in ("A0", "A1", "A2")


def ta1(arrival: Arrival, note: str) -> Segment:
    """Return the TA1 of an interchange; note: "000" accepts."""
    return ("TA1", arrival.number, *arrival.at, "A" if note == "000" else "R", note)


def ack_999(group: Group, faults: Mapping[str, Sequence[Fault]]) -> Sheet:
    """Return the 999 of a group; faults: by ST02, a transaction with any is rejected. Source: 005010X231A1."""
    told: list[Segment] = [("AK1", group.functional_id, group.number, group.version)]
    for transaction in group.transactions:
        told += _set_acknowledged(transaction, group.version, list(faults.get(transaction.number, ()))[:MOST_FAULTS])
    received = len(group.transactions)
    good = sum(not faults.get(transaction.number) for transaction in group.transactions)
    verdict = "A" if good == received else "P" if good else "R"
    told.append(("AK9", verdict, str(received), str(received), str(good)))
    return Sheet("FA", "999", ACKNOWLEDGEMENT, told)


def told_to_be_bad(arrival: Arrival, numbers: Sequence[str]) -> dict[str, list[Fault]]:
    """Return faults for the claims that somebody ordered to be rejected: element 2 of their CLM."""
    return {
        transaction.number: [
            Fault("CLM", claim.clm, "8", ("2", "782")) for claim in transaction.claims if claim.number in numbers
        ]
        for transaction in arrival.transactions
    }


def report_277(stamp: Stamp, reference: str, source: Segment, words: Sequence[Word], receiver: Segment) -> Sheet:
    """Return the 277CA about one 837. reference: its BHT03. source, receiver: their NM1. Source: 005010X214."""
    day, number = stamp.day, f"{stamp.number}"
    told: list[Segment] = [
        ("BHT", "0085", "08", number, day, stamp.time, "TH"),
        *(("HL", "1", "", "20", "1"), source, ("TRN", "1", number)),
        *(("DTP", "050", "D8", day), ("DTP", "009", "D8", day)),
        *(("HL", "2", "1", "21", "1"), receiver, ("TRN", "2", reference)),
        *_sums(words, day, ("90", "AA")),
    ]
    level = 2
    for provider, theirs in groupby(
        sorted(words, key=lambda word: word.claim.provider), lambda word: word.claim.provider
    ):
        of_one = list(theirs)
        level += 1
        parent = str(level)
        told += [
            ("HL", parent, "2", "19", "1"),
            _provider(provider),
            ("TRN", "1", "0"),
            *_sums(of_one, day, ("QA", "QC")),
        ]
        for word in of_one:
            level += 1
            told += [("HL", str(level), parent, "PT"), *_patient(word, day)]
    return Sheet("HN", "277", CLAIM_STATUS, told)


def payer_number(claim: SeenClaim) -> str:
    """Return the number a payer gives to a claim: always the same for the same claim."""
    return "P" + hashlib.sha256(f"{claim.number} {claim.frequency}".encode()).hexdigest()[:12].upper()


def money(amount: Decimal) -> str:
    """Return an amount as X12 writes it: no exponent, no zeros at the end."""
    text = f"{amount:.2f}"
    return text.rstrip("0").rstrip(".")


def _set_acknowledged(transaction: Transaction, version: str, faults: list[Fault]) -> list[Segment]:
    told: list[Segment] = [("AK2", transaction.code, transaction.number, version)]
    for (name, position), found in groupby(faults, lambda fault: (fault.segment_id, fault.position)):
        of_segment = list(found)
        code = "8" if any(fault.element for fault in of_segment) else of_segment[0].code
        told.append(("IK3", name, str(position), "", code))
        owner = transaction.owner(position)
        if owner is not None:
            told.append(("CTX", ("CLM01", owner.number)))
        told += [("IK4", *fault.element, fault.code) for fault in of_segment if fault.element]
    told.append(("IK5", "R", "5") if faults else ("IK5", "A"))
    return told


def _sums(words: Sequence[Word], day: str, quantities: tuple[str, str]) -> list[Segment]:
    """Return STC, QTY and AMT of a level: how many claims below it are good and bad, and how much they are."""
    good = [word.claim.charge for word in words if word.is_good]
    bad = [word.claim.charge for word in words if not word.is_good]
    charge = money(sum((word.claim.charge for word in words), Decimal(0)))
    told: list[Segment] = [("STC", ("A1", "19", "PR"), day, "WQ", charge)]
    told += [("QTY", kind, str(len(some))) for kind, some in zip(quantities, (good, bad), strict=True) if some]
    told += [("AMT", kind, money(sum(some, Decimal(0)))) for kind, some in (("YU", good), ("YY", bad)) if some]
    return told


def _provider(provider: tuple[str, str, str]) -> Segment:
    name, npi, _ = provider
    return ("NM1", "85", "2", name, "", "", "", "", "XX", npi)


def _patient(word: Word, day: str) -> list[Segment]:
    claim = word.claim
    last, first = claim.patient
    told: list[Segment] = [
        ("NM1", "QC", "1", last, first, "", "", "", "MI", claim.member_id),
        ("TRN", "2", claim.number),
        ("STC", word.status, day, "WQ" if word.is_good else "U", money(claim.charge)),
    ]
    if word.payer_number:
        told.append(("REF", "1K", word.payer_number))
    if claim.date:
        told.append(("DTP", "472", "D8", claim.date))
    return told
