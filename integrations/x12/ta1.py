"""Reads a TA1; without it an interchange refused as a whole would look like one still on its way.

Source: X12.5, TA1 Interchange Acknowledgment; ASC X12C/005010X231, appendix C.
"""

from __future__ import annotations

from integrations.x12.answer_records import Ta1, Transaction
from integrations.x12.segments import NotX12
from integrations.x12.values import short_day


def read(transaction: Transaction) -> Ta1:
    """Read the one segment.

    Raises:
        NotX12: not a TA1.
    """
    if transaction.kind != "TA1":
        raise NotX12("not a TA1")
    ta1 = [*next(transaction.segments), *[""] * 5]
    return Ta1(interchange_number=ta1[1], sent_on=short_day(ta1[2]), sent_at=ta1[3], verdict=ta1[4], note_code=ta1[5])
