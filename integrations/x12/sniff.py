"""Tells what a transaction is by what is in it; without it a partner who renames his files would have them misread."""

from __future__ import annotations

from enum import StrEnum

from integrations.x12.answer_records import Transaction


class Kind(StrEnum):
    """What a transaction is. OTHER: of a kind not read here."""

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
    OTHER = "other"


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
    ("277", ""): Kind.CLAIM_STATUS,  # its reader tells by BHT which of the two it is
}


def of_transaction(transaction: Transaction) -> Kind:
    """Return what a transaction is by ST01 and the guide in ST03 or GS08."""
    if transaction.kind in PLAIN:
        return PLAIN[transaction.kind]
    guide = transaction.version[6:10].upper()
    return BY_GUIDE.get((transaction.kind, guide), Kind.OTHER)
