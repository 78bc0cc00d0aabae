"""Takes files with many messages apart and answers them; without it a nightly file would be read as one message.

Source: HL7 v2.5.1, chapter 2, sections 2.10.3 (batch protocol), 2.15.2 and 2.15.3 (BHS, BTS), 2.15.6 and 2.15.7 (FHS,
FTS).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice, zip_longest
from typing import NamedTuple

from integrations.hl7 import charsets
from integrations.hl7.ack import CONTROL, LONGEST_ECHO
from integrations.hl7.findings import Finding
from integrations.hl7.head import BOM, DEFAULT_SEPARATORS, MSH

ENVELOPE = re.compile(rb"(?:\A|(?<=[\r\n]))(FHS|BHS|BTS|FTS)([^A-Za-z0-9\r\n][^\r\n]*)?(?:[\r\n]+|\Z)")
COUNT = re.compile(rb"[0-9]{1,9}")
MOST_ENVELOPES = 10_000  # headers and trailers that are looked at in one file
IDENTITY = 11  # BHS-11 and FHS-11: the batch's or file's own id


class Envelope(NamedTuple):
    """One FHS, BHS, BTS or FTS: its name, which of that name, its fields as bytes, and the byte it starts at.

    BHS-n is at index n as in MSH; BTS-n too.
    """

    name: str
    number: int
    fields: tuple[bytes, ...]
    start: int

    def raw(self, number: int) -> bytes:
        return self.fields[number] if number < len(self.fields) else b""


class Batch(NamedTuple):
    """A file or batch: its header where there is one, and what is wrong with its counts. Nothing is ever refused."""

    header: Envelope | None
    messages: int
    findings: tuple[Finding, ...]

    @property
    def batch_id(self) -> str:
        """The id the sender gave to the whole (BHS-11, else FHS-11); empty when there is none."""
        return self.header.raw(IDENTITY).decode("utf-8", "replace").strip() if self.header else ""


def of_frame(content: bytes, most: int) -> tuple[Batch, list[bytes]] | None:
    """Return the batch in a frame and its messages, at most one more than `most`; None for one message alone."""
    if content.rfind(b"MSH") == 0:  # nearly always, and told in half the time of looking for a second one
        return None
    if content.startswith(b"MSH") and b"\rMSH" not in content and b"\nMSH" not in content:
        return None
    found, whole = list(islice(each(content), most + 1)), describe(content)
    return (whole, found) if found and (whole.header or len(found) > 1) else None


def messages(raw: bytes) -> list[bytes]:
    """Return each message of a batch or file as its own bytes; header and trailer segments are left out."""
    return list(each(raw))


def each(raw: bytes) -> Iterator[bytes]:
    """Yield each message of a batch or file, one at a time."""
    body = _body(raw)
    starts = (found.start(1) for found in MSH.finditer(body))
    start = next(starts, None)
    while start is not None:
        end = next(starts, None)
        yield ENVELOPE.sub(b"", body[start:end])
        start = end


def describe(raw: bytes) -> Batch:
    """Return the header of a batch or file and compare what BTS-1 and FTS-1 count with what is there."""
    body = _body(raw)
    envelopes = _envelopes(body)
    starts = [found.start(1) for found in MSH.finditer(body)]
    heads = [one for one in envelopes if one.name in ("BHS", "FHS")]
    header = next((one for one in heads if one.name == "BHS"), heads[0] if heads else None)
    return Batch(header, len(starts), tuple(_miscounts(envelopes, starts)))


def acknowledge(batch: Batch, answers: Sequence[bytes], *, batch_id: str, at: datetime) -> bytes:
    """Return the answer to a whole batch: BHS, each acknowledgement (MSH, MSA, ERR) as `ack.build` wrote it, BTS.

    batch_id: BHS-11 of the answer; BHS-12 refers to the sender's own. The sender's separators are kept, names swapped.
    """
    header = batch.header or Envelope("BHS", 0, (b"BHS", b"|", DEFAULT_SEPARATORS), 0)
    separator, encoding = header.raw(1), CONTROL.sub(b"", header.raw(2)) or DEFAULT_SEPARATORS
    names = [_echo(header, number) for number in (5, 6, 3, 4)]
    stamp = f"{at:%Y%m%d%H%M%S}{at:%z}".encode()
    own = batch_id.encode("ascii", "ignore")
    head = [b"BHS", encoding, *names, stamp, b"", b"", b"", own, _echo(header, IDENTITY)]
    trailer = [b"BTS", str(len(answers)).encode()]
    return separator.join(head) + b"\r" + b"".join(answers) + separator.join(trailer) + b"\r"


def _body(raw: bytes) -> bytes:
    """Return the bytes without a mark or blanks before them; a file in UTF-16 or UTF-32 is written in UTF-8."""
    if encoded := charsets.wide(raw) or _wide_header(raw):
        charset, mark = encoded
        raw = raw[mark:].decode(charset, "replace").encode()
    return raw.removeprefix(BOM).lstrip()


def _wide_header(raw: bytes) -> tuple[str, int] | None:
    """Return the charset of a file whose FHS or BHS is in two bytes a character without a mark."""
    return next((found for found in (("utf-16-le", 0), ("utf-16-be", 0)) if _begins(raw, found[0])), None)


def _begins(raw: bytes, charset: str) -> bool:
    return raw.startswith(("FHS".encode(charset), "BHS".encode(charset)))


def _envelopes(body: bytes) -> list[Envelope]:
    counts: dict[str, int] = {}
    found = []
    for each_found in islice(ENVELOPE.finditer(body), MOST_ENVELOPES):
        name = each_found[1].decode()
        counts[name] = counts.get(name, 0) + 1
        rest = each_found[2] or b""
        parts = rest[1:].split(rest[:1], 100) if rest else []
        fields = (each_found[1], rest[:1], *parts) if name in ("FHS", "BHS") else (each_found[1], *parts)
        found.append(Envelope(name, counts[name], fields, each_found.start()))
    return found


def _miscounts(envelopes: Sequence[Envelope], starts: Sequence[int]) -> Iterator[Finding]:
    """Tell each trailer whose count is not the number of messages (BTS-1) or batches (FTS-1) before it."""
    batches, opened = 0, 0
    for one, following in zip_longest(envelopes, envelopes[1:]):
        if one.name == "BHS":
            batches, opened = batches + 1, one.start
            if following is None or following.name != "BTS":
                yield Finding("BHS", one.number, 0, "no BTS after it")
        elif one.name == "BTS":
            inside = bisect_left(starts, one.start) - bisect_left(starts, opened)
            yield from _compared(one, inside, "messages")
            opened = one.start
        elif one.name == "FTS":
            yield from _compared(one, batches or int(bool(starts)), "batches")


def _compared(trailer: Envelope, counted: int, things: str) -> Iterator[Finding]:
    """Yield a finding when a trailer counts otherwise; an empty count says nothing."""
    sent = trailer.raw(1).strip()
    if not sent:
        return
    if not COUNT.fullmatch(sent):
        yield Finding(trailer.name, trailer.number, 1, f"not a count: {len(sent)} characters")
    elif int(sent) != counted:
        yield Finding(trailer.name, trailer.number, 1, f"counts {int(sent)} {things}, there are {counted}")


def _echo(header: Envelope, number: int) -> bytes:
    return CONTROL.sub(b"", header.raw(number))[:LONGEST_ECHO]
