"""Takes X12 apart as it comes, whatever its separators; without it a large file would have to fit in memory.

Source: X12.5 (interchange control structures) and X12.6 (application control structures), 005010.
"""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from typing import BinaryIO, NamedTuple

from integrations.x12.answer_records import Flaw, Group, Interchange, Marks, Transaction
from integrations.x12.values import day, short_day

ISA_LENGTH = 106
MOST_BREAKS = 8  # characters of line ends within an ISA
ISA_PLACES = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)  # where ISA has its element separator
CHUNK = 1 << 16
CONTROLS = bytes([*range(32), 127])
WORDS = (string.ascii_letters + string.digits + " ").encode()  # what no separator may be
ENVELOPE = frozenset({"SE", "ST", "GE", "GS", "IEA", "ISA"})
MOST_FLAWS = 50
BOM = b"\xef\xbb\xbf"
LINE_ENDS = b"\r\n"


class NotX12(ValueError):
    """Not to be read as X12. The text tells shapes, never values."""


class Limits(NamedTuple):
    """The most that is read: bytes of a file, characters of a segment, elements of a segment."""

    file: int = 256 << 20
    segment: int = CHUNK
    elements: int = 128


def read(source: bytes | BinaryIO, limits: Limits = Limits()) -> Iterator[Transaction]:  # noqa: B008 - frozen
    """Yield each transaction and each TA1 of a file that may hold several interchanges.

    An ISA also ends an interchange without a trailer. Only one block of the file is in memory. Segments of a
    transaction left over are skipped. Line ends and other control characters are dropped wherever they stand. Text is
    UTF-8, or Latin-1 where it is not that.

    Raises:
        NotX12: does not begin with an ISA of 106 characters, ends inside a transaction, or goes beyond a limit; what
            was yielded before stands.
    """
    tape, numbers = _Tape(source, limits), count(1)
    for position in count(1):
        interchange = tape.header(position)
        if interchange is None:
            return
        yield from _transactions(tape.segments(interchange.marks), interchange, numbers)
        tape.skip_to_next(interchange)


def _transactions(tape: Iterator[list[str]], interchange: Interchange, numbers: Iterator[int]) -> Iterator[Transaction]:
    group: Group | None = None
    groups = sets = 0
    for segment in tape:
        match segment[0]:
            case "ST":
                sets += 1
                found = _transaction(segment, tape, interchange, group, next(numbers))
                yield found
                deque(found.segments, maxlen=0)
            case "TA1":
                yield Transaction("TA1", "", "", interchange, None, next(numbers), iter([segment]), [])
            case "GS":
                _closed(interchange.flaws, group)
                group, groups, sets = _group(segment), groups + 1, 0
            case "GE":
                _check(interchange.flaws, "group", segment, sets, group.control_number if group else "")
                group = None
            case "IEA":
                _closed(interchange.flaws, group)
                _check(interchange.flaws, "interchange", segment, groups, interchange.control_number)
                return
            case _:
                _flag(interchange.flaws, "outside", "A segment stands outside every transaction")
    _flag(interchange.flaws, "no_interchange_trailer", "The interchange has no trailer")


def _transaction(
    st: list[str], tape: Iterator[list[str]], interchange: Interchange, group: Group | None, position: int
) -> Transaction:
    flaws: list[Flaw] = []
    number = _at(st, 2)
    if group is None:
        _flag(flaws, "outside", "A transaction stands outside every group")
    version = _at(st, 3) or (group.version if group else "")
    return Transaction(_at(st, 1), number, version, interchange, group, position, _body(tape, number, flaws), flaws)


def _body(tape: Iterator[list[str]], number: str, flaws: list[Flaw]) -> Iterator[list[str]]:
    """Yield the segments between ST and SE.

    Raises:
        NotX12: no SE.
    """
    position = 1
    for position, segment in enumerate(tape, 2):
        if segment[0] in ENVELOPE:
            if segment[0] != "SE":
                break
            _check(flaws, "set", segment, position, number)
            return
        yield segment
    raise NotX12(f"a transaction has no trailer: {position} segments")


def _check(flaws: list[Flaw], what: str, trailer: list[str], counted: int, number: str) -> None:
    said = _at(trailer, 1)
    if not (said.isascii() and said.isdigit() and int(said[:12]) == counted):
        _flag(flaws, f"{what}_count", f"The trailer of the {what} counts otherwise: {counted} found")
    if _at(trailer, 2) != number:
        _flag(flaws, f"{what}_number", f"The trailer of the {what} has another number than its header")


def _closed(flaws: list[Flaw], group: Group | None) -> None:
    if group:
        _flag(flaws, "no_group_trailer", "A group has no trailer")


def _flag(flaws: list[Flaw], code: str, sentence: str) -> None:
    """Keep each flaw once, and not more of them than a person reads."""
    flaw = Flaw(code, sentence)
    if len(flaws) < MOST_FLAWS and flaw not in flaws:
        flaws.append(flaw)


def _group(segment: list[str]) -> Group:
    gs = [*segment, *[""] * 9]
    return Group(
        control_number=gs[6], functional_id=gs[1], version=gs[8], sender=gs[2], receiver=gs[3], sent_on=day(gs[4])
    )


def _at(segment: list[str], place: int) -> str:
    return segment[place] if place < len(segment) else ""


class _Tape:
    """The bytes not yet taken apart, and where the next ones come from."""

    def __init__(self, source: bytes | BinaryIO, limits: Limits) -> None:
        self._file = BytesIO(source) if isinstance(source, bytes) else source
        self._limits = limits
        self._read = 0
        self._pending = b""
        if self._more() and self._pending.startswith(BOM):
            self._pending = self._pending[len(BOM) :]

    def _more(self) -> bool:
        chunk = self._file.read(CHUNK)
        self._read += len(chunk)
        if self._read > self._limits.file:
            raise NotX12(f"more than {self._limits.file} bytes")
        self._pending += chunk
        return bool(chunk)

    def header(self, position: int) -> Interchange | None:
        """Take the next ISA; None where nothing but blanks is left.

        Raises:
            NotX12: something else stands there.
        """
        self._skip_blanks()
        while len(self._pending) < ISA_LENGTH + MOST_BREAKS and self._more():
            pass
        if not self._pending and position > 1:
            return None
        length = _isa_length(self._pending)
        isa, self._pending = self._pending[:length], self._pending[length:]
        return _interchange(isa if length == ISA_LENGTH else isa.translate(None, LINE_ENDS), position)

    def segments(self, marks: Marks) -> Iterator[list[str]]:
        """Yield the segments after ISA, up to and with IEA, or else up to the next ISA or the end of the file."""
        end, between = marks.segment.encode("latin-1"), marks.element
        dropped = CONTROLS.translate(None, "".join(marks).encode("latin-1"))
        closing, last = b"IEA" + between.encode("latin-1"), False
        while not last:
            block, last = self._block(end, closing)
            text = _text(block.translate(None, dropped))
            texts = text.split(marks.segment)
            if text.startswith(" ") or marks.segment + " " in text:
                texts = [text.lstrip(" ") for text in texts]
            self._measure(texts, between)
            for written in texts:
                if written:
                    yield written.split(between)

    def _block(self, end: bytes, closing: bytes) -> tuple[bytes, bool]:
        """Take whole segments off the tape, none beyond IEA or the next ISA; True with the last ones."""
        while (opening := self._begin(b"ISA", end)) is None and end not in self._pending:
            if len(self._pending) > self._limits.segment:
                raise NotX12(f"a segment of more than {self._limits.segment} characters")
            if not self._more():
                block, self._pending = self._pending, b""
                return block, True
        cut = self._pending.rfind(end)
        trailer = self._begin(closing, end, max(cut, 0))
        if opening is not None and (trailer is None or opening < trailer):
            block, self._pending = self._pending[:opening], self._pending[opening:]
            return block, True
        cut = cut if trailer is None else self._pending.find(end, trailer)
        block, self._pending = self._pending[:cut], self._pending[cut + 1 :]
        return block, trailer is not None

    def _begin(self, name: bytes, end: bytes, cut: int | None = None) -> int | None:
        """Return where the first segment of that name begins, looking no further than `cut`."""
        start = self._pending.find(name, 0, cut)
        while start >= 0:
            before = self._pending[max(0, start - 80) : start].rstrip(CONTROLS.translate(None, end) + b" ")
            if not before or before.endswith(end):
                return start
            start = self._pending.find(name, start + 1, cut)
        return None

    def _measure(self, texts: list[str], between: str) -> None:
        longest, most = max(map(len, texts)), self._limits.elements
        if longest > self._limits.segment:
            raise NotX12(f"a segment of {longest} characters")
        if longest > most and any(text.count(between) > most for text in texts if len(text) > most):
            raise NotX12(f"a segment of more than {most} elements")

    def skip_to_next(self, interchange: Interchange) -> None:
        """Pass over what is not an ISA, and flag it."""
        self._skip_blanks()
        rubbish = False
        while self._pending and not self._pending.startswith(b"ISA"):
            rubbish = True
            start = self._pending.find(b"ISA")
            self._pending = self._pending[start:] if start >= 0 else self._pending[-2:]
            if start < 0 and not self._more():
                self._pending = b""
        if rubbish:
            _flag(interchange.flaws, "rubbish", "Something that is not X12 follows the interchange")

    def _skip_blanks(self) -> None:
        blanks = CONTROLS + b" "
        self._pending = self._pending.lstrip(blanks)
        while not self._pending and self._more():
            self._pending = self._pending.lstrip(blanks)


def _sign(mark: int) -> str:
    return "" if mark in WORDS else chr(mark)


def _text(block: bytes) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError:
        return block.decode("latin-1")


def _isa_length(head: bytes) -> int:
    """Return how many bytes the ISA takes: more than usual where it is right but for line ends within it."""
    for length in range(ISA_LENGTH + 1, ISA_LENGTH + MOST_BREAKS + 1):
        joined = head[:length].translate(None, LINE_ENDS)
        if len(joined) == ISA_LENGTH and not _is_placed(head[:ISA_LENGTH]) and _is_placed(joined):
            return length
    return ISA_LENGTH


def _is_placed(isa: bytes) -> bool:
    return len(isa) == ISA_LENGTH and all(isa[place] == isa[3] for place in ISA_PLACES) and isa.count(isa[3:4]) == 16


def _interchange(isa: bytes, position: int) -> Interchange:
    """Read an ISA, whose elements and separators stand at fixed places.

    Raises:
        NotX12: they do not.
    """
    if not isa.startswith(b"ISA"):
        raise NotX12("does not begin with ISA")
    if not _is_placed(isa):
        raise NotX12(f"ISA is not {ISA_LENGTH} characters with its separators at their places")
    marks = Marks(element=chr(isa[3]), repetition=_sign(isa[82]), component=chr(isa[104]), segment=chr(isa[105]))
    used = (isa[3], isa[104], isa[105])
    if len(set(used)) < len(used) or any(mark in WORDS for mark in used):
        raise NotX12("ISA names a letter, a digit, a blank or one sign twice as separators")
    at = isa.decode("latin-1").split(marks.element)
    return Interchange(
        control_number=at[13].strip(),
        sender_qualifier=at[5].strip(),
        sender=at[6].strip(),
        receiver_qualifier=at[7].strip(),
        receiver=at[8].strip(),
        sent_on=short_day(at[9]),
        sent_at=at[10],
        usage=at[15],
        ack_requested=at[14] == "1",
        marks=marks,
        position=position,
        flaws=[],
    )
