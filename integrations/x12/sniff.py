"""Tells what a file is by what is in it; without it a partner who renames his files would have them misread."""

from __future__ import annotations

from enum import StrEnum
from typing import BinaryIO

from integrations.x12 import segments
from integrations.x12.answer_records import Transaction

ZIP = (b"PK\x03\x04", b"PK\x05\x06")


class Kind(StrEnum):
    """What a transaction or a file is. OTHER: X12 of a kind not read here; UNKNOWN: not X12."""

    CLAIMS = "837P"
    INSTITUTIONAL = "837I"
    ACKNOWLEDGEMENT = "999"
    INTERCHANGE_ACKNOWLEDGEMENT = "TA1"
    CLAIM_ACKNOWLEDGEMENT = "277CA"
    CLAIM_STATUS = "277"
    CLAIM_STATUS_QUESTION = "276"
    REMITTANCE = "835"
    ELIGIBILITY = "271"
    ELIGIBILITY_QUESTION = "270"
    ZIP = "zip"
    OTHER = "other"
    UNKNOWN = "unknown"


PLAIN = {
    "TA1": Kind.INTERCHANGE_ACKNOWLEDGEMENT,
    "999": Kind.ACKNOWLEDGEMENT,
    "997": Kind.ACKNOWLEDGEMENT,
    "835": Kind.REMITTANCE,
    "271": Kind.ELIGIBILITY,
    "270": Kind.ELIGIBILITY_QUESTION,
    "276": Kind.CLAIM_STATUS_QUESTION,
}
BY_GUIDE = {  # the same ST01 in guides that have nothing to do with each other
    ("837", "X222"): Kind.CLAIMS,
    ("837", "X223"): Kind.INSTITUTIONAL,
    ("277", "X214"): Kind.CLAIM_ACKNOWLEDGEMENT,
    ("277", "X212"): Kind.CLAIM_STATUS,
}


def of(source: bytes | BinaryIO) -> Kind:
    """Return the kind of the first transaction; TA1 only where there is nothing else. Reads no further than needed.

    A file may hold several kinds: whoever reads it asks `of_transaction` for each.
    """
    if isinstance(source, bytes) and source.startswith(ZIP):
        return Kind.ZIP
    found = Kind.UNKNOWN
    try:
        for transaction in segments.read(source):
            found = of_transaction(transaction)
            if found != Kind.INTERCHANGE_ACKNOWLEDGEMENT:
                return found
    except segments.NotX12:
        return found
    return Kind.OTHER if found == Kind.UNKNOWN else found


def of_transaction(transaction: Transaction) -> Kind:
    """Return what a transaction is by ST01 and the guide in ST03 or GS08."""
    if transaction.kind in PLAIN:
        return PLAIN[transaction.kind]
    guide = transaction.version[6:10].upper()
    return BY_GUIDE.get((transaction.kind, guide), Kind.OTHER)
