"""Everything that reads what others send, each as one call; without it a new reader would be fuzzed by nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Any

from integrations.hl7 import adt, answers, batch, explain, head, oru, validate
from integrations.hl7.mllp import Deframer, FrameTooLong
from integrations.hl7.reader import Message, NotHl7
from integrations.x12 import ack_999, eligibility_271, remittance_835, segments, sniff, status_277, ta1
from integrations.x12.segments import NotX12
from integrations.x12.sniff import Kind

READ: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.INTERCHANGE_ACKNOWLEDGEMENT: ta1.read,
    Kind.ACKNOWLEDGEMENT: ack_999.read,
    Kind.CLAIM_ACKNOWLEDGEMENT: status_277.read,
    Kind.CLAIM_STATUS: status_277.read,
    Kind.REMITTANCE: remittance_835.read,
    Kind.ELIGIBILITY: eligibility_271.read,
}


def x12(raw: bytes) -> None:
    """Read a file of answers as a worker does; what is broken in it is told by NotX12 and by nothing else."""
    try:
        for transaction in segments.read(raw):
            read = READ.get(sniff.of_transaction(transaction))
            try:
                _walked(read(transaction) if read else ())
            except NotX12:
                continue
    except NotX12:
        return


def kinds_of(raw: bytes) -> set[Kind]:
    """Return the kinds of the transactions of a file, as far as it can be read."""
    found = set[Kind]()
    try:
        found.update(sniff.of_transaction(transaction) for transaction in segments.read(raw))
    except NotX12:
        return found
    return found


def _walked(told: Any) -> None:
    """Look at every part of what was read, lazy ones too."""
    if isinstance(told, Iterator):
        for each in told:
            _walked(each)
    elif hasattr(told, "__dataclass_fields__"):
        for name in told.__dataclass_fields__:
            _walked(getattr(told, name))
    elif isinstance(told, list | tuple):  # a record too
        deque(map(_walked, told), maxlen=0)


def hl7(raw: bytes) -> None:
    """Read a message in every way that we read one."""
    head.read_head(raw)
    batch.of_frame(raw, 10_000)
    batch.messages(raw)
    explain.mask(raw)
    try:
        message = Message(raw)
    except NotHl7:
        return
    validate.validate(message)
    oru.read(message, default_tz=UTC)
    adt.read(message, default_tz=UTC)
    answers.read(message, default_tz=UTC)


def explained(raw: bytes) -> None:
    """Show a message to a person, field by field."""
    explain.explain(raw, masked=True)


def stream(raw: bytes) -> None:
    """Take the bytes of a connection as they come."""
    deframer = Deframer(4 << 20)
    try:
        for start in range(0, len(raw), 65_536):
            deframer.feed(raw[start : start + 65_536])
            assert deframer.size <= (4 << 20) + 65_536 + 2
    except FrameTooLong:
        assert deframer.size == 0


READERS: Mapping[str, Callable[[bytes], None]] = {"x12": x12, "hl7": hl7, "explained": explained, "stream": stream}
