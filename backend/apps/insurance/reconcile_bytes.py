"""Opens each file and holds its bytes against what its row says; the database itself cannot read them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from backend.apps.core.ledger import EXAMPLES, Fault
from backend.apps.core.sealed import CannotOpen, column
from backend.apps.insurance.models import InboundFile, Interchange

SENTENCES = {
    "number of a file": "The number in the file's bytes is not the one it counts under.",
    "bytes sent": "The bytes are not those that were made for the partner.",
    "bytes received": "The bytes are not those that came from the partner.",
    "claims in a file": "The claims in a file's bytes are not those whose rows say they are in it.",
}
RECEIVED = """
    SELECT m.id, m.content, m.sha256, m.size_bytes FROM insurance_inboundfile m WHERE m.id = %(file)s"""
SENT = """
    SELECT m.id, m.content, m.sha256, m.size_bytes, m.interchange_number FROM insurance_interchange m
    WHERE m.id = %(file)s"""
ISA_BYTES, NUMBER_AT = 106, slice(90, 99)  # ISA has fixed places; its last byte ends segments, ISA13 is the number


class Opened(NamedTuple):
    """A file as its row has it. content: None where it does not open; wrong: the checks it does not stand."""

    content: bytes | None
    wrong: list[str]


class Faults:
    """What does not agree, by check: how many files, and some of them."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def note(self, check: str, file: Any) -> None:
        self._found.setdefault(check, []).append(str(file))

    def told(self) -> Iterator[Fault]:
        for check, sentence in SENTENCES.items():
            if found := sorted(self._found.get(check, ())):
                yield Fault(check, sentence, len(found), tuple(found[:EXAMPLES]))


def sent(cursor: Any, file: Any) -> Opened:
    """Return a file of ours, held against its row."""
    cursor.execute(SENT, {"file": file})
    key, stored, digest, size, number = cursor.fetchone()
    content = _opened(Interchange, key, stored)
    wrong = [] if _is_whole(content, digest, size) else ["bytes sent"]
    if content is not None and content[NUMBER_AT] != b"%09d" % number:
        wrong.append("number of a file")
    return Opened(content, wrong)


def received(cursor: Any, file: Any) -> Opened:
    """Return a file of a partner, held against its row."""
    cursor.execute(RECEIVED, {"file": file})
    key, stored, digest, size = cursor.fetchone()
    content = _opened(InboundFile, key, stored)
    return Opened(content, [] if _is_whole(content, digest, size) else ["bytes received"])


def claim_numbers(content: bytes | None) -> list[str]:
    """Return CLM01 of each claim in a file of ours, in its own separators."""
    if content is None or len(content) < ISA_BYTES:
        return []
    element, end = re.escape(content[3:4]), re.escape(content[ISA_BYTES - 1 : ISA_BYTES])
    pattern = rb"(?:%b)[\r\n]*CLM%b([^%b%b]*)" % (end, element, element, end)
    return [found.decode("latin-1") for found in re.findall(pattern, content)]


def pairs(files: Sequence[tuple[Any, list[str]]]) -> dict[str, list[Any]]:
    """Return files and the numbers of their claims as two columns of one length."""
    told = [(file, number) for file, numbers in files for number in numbers]
    return {"of_file": [file for file, _ in told], "numbers": [number for _, number in told]}


def _opened(model: Any, key: Any, stored: Any) -> bytes | None:
    try:
        return bytes(column(model, "content").open(key, stored))
    except CannotOpen:
        return None


def _is_whole(content: bytes | None, digest: str, size: int) -> bool:
    return content is not None and len(content) == size and hashlib.sha256(content).hexdigest() == digest
