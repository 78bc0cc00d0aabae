"""Damages samples of what others send; without it each way of fuzzing would have its own idea of what is hostile."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.integrations.fuzz import readers

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
X12 = sorted(SAMPLES.glob("x12/**/*.x12"))
HL7 = sorted(SAMPLES.glob("hl7*/*.hl7"))
SIGNS = (
    b"*", b"~", b":", b"^", b"|", b"\\", b"&", b"\r", b"\n", b"\x0b", b"\x1c", b"\x00", b"\xff",
    b"ISA", b"IEA", b"ST*", b"SE*", b"MSH", b"PID|", b"OBX|", b"CLP*", b"\\X0D\\", b"9" * 400, b"-", b".",
)  # fmt: skip
ISA = b"ISA*00*          *00*          *ZZ*THEM           *ZZ*US             *260101*1200*^*00501*000000001*0*T*:~"
BEGINNINGS = (
    b"",
    ISA,
    ISA + b"GS*HP*A*B*20260101*1200*1*X*005010X221A1~ST*835*0001~",
    b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5.1\r",
    b"\x0b",
)
Damage = Sequence[tuple[int, int, bytes]]  # where, how many bytes are cut out there, what is put in


def damaged(path: Path, damage: Damage) -> bytes:
    """Return a sample with pieces cut out and others put in."""
    raw = path.read_bytes()
    for at, cut, put in damage:
        place = at % (len(raw) + 1)
        raw = raw[:place] + put + raw[place + cut :]
    return raw


def swapped(path: Path, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a sample whose signs and codes are others throughout."""
    raw = path.read_bytes()
    for old, new in pairs:
        raw = raw.replace(old, new)
    return raw


def by_hl7(raw: bytes) -> None:
    """Read a message in each way that we read one, and as the bytes of a connection."""
    readers.hl7(raw)
    readers.explained(raw)
    readers.stream(b"\x0b" + raw + b"\x1c\r")


KINDS: Mapping[str, tuple[Sequence[Path], Callable[[bytes], None]]] = {"x12": (X12, readers.x12), "hl7": (HL7, by_hl7)}


def one(kind: str, seed: int) -> bytes:
    """Return one hostile input of a kind; the same for the same seed."""
    chance = random.Random(f"{kind} {seed}")  # to be made again, not to be kept secret
    path = chance.choice(KINDS[kind][0])
    sort = chance.random()
    if sort < 0.1:
        return chance.choice(BEGINNINGS) + b"".join(_rubbish(chance) for _ in range(chance.randrange(40)))
    if sort < 0.4:
        return swapped(path, [(chance.choice(SIGNS), _rubbish(chance)) for _ in range(chance.randrange(1, 4))])
    places = [(chance.randrange(20_000), chance.randrange(60), _rubbish(chance)) for _ in range(chance.randrange(1, 9))]
    return damaged(path, places)


def _rubbish(chance: random.Random) -> bytes:
    return chance.choice(SIGNS) if chance.random() < 0.5 else chance.randbytes(chance.randrange(12))
