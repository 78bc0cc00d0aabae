"""Throws damaged samples and plain rubbish at every reader: only the declared refusals may come out."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integrations.fuzz import readers

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
X12 = sorted(SAMPLES.glob("x12/**/*.x12"))
HL7 = sorted(SAMPLES.glob("hl7*/*.hl7"))
EXAMPLES = int(os.environ.get("CARERELAY_FUZZ_EXAMPLES", "150"))  # the long form: 100000
SIGNS = st.sampled_from(
    [
        b"*",
        b"~",
        b":",
        b"^",
        b"|",
        b"\\",
        b"&",
        b"\r",
        b"\n",
        b"\x0b",
        b"\x1c",
        b"\x00",
        b"\xff",
        b"ISA",
        b"IEA",
        b"ST*",
        b"SE*",
        b"MSH",
        b"PID|",
        b"OBX|",
        b"CLP*",
        b"\\X0D\\",
        b"9" * 400,
        b"-",
        b".",
    ]
)
RUBBISH = st.binary(max_size=12) | SIGNS
DAMAGE = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 60), RUBBISH), max_size=6)


def damaged(path: Path, damage: list[tuple[int, int, bytes]]) -> bytes:
    """Return a sample with pieces cut out and others put in."""
    raw = path.read_bytes()
    for at, cut, put in damage:
        place = at % (len(raw) + 1)
        raw = raw[:place] + put + raw[place + cut :]
    return raw


def swapped(path: Path, pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Return a sample whose signs and codes are others throughout."""
    raw = path.read_bytes()
    for old, new in pairs:
        raw = raw.replace(old, new)
    return raw


PAIRS = st.lists(st.tuples(SIGNS, RUBBISH), max_size=3)


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(X12), DAMAGE, PAIRS)
def test_a_damaged_answer_of_a_payer_is_read_or_refused(
    path: Path, damage: list[tuple[int, int, bytes]], pairs: list[tuple[bytes, bytes]]
) -> None:
    readers.x12(damaged(path, damage))
    readers.x12(swapped(path, pairs))


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(HL7), DAMAGE, PAIRS)
def test_a_damaged_message_of_a_laboratory_is_read_or_refused(
    path: Path, damage: list[tuple[int, int, bytes]], pairs: list[tuple[bytes, bytes]]
) -> None:
    for raw in (damaged(path, damage), swapped(path, pairs)):
        readers.hl7(raw)
        readers.explained(raw)
        readers.stream(b"\x0b" + raw + b"\x1c\r")


@settings(max_examples=EXAMPLES)
@given(st.lists(RUBBISH, max_size=40).map(b"".join))
def test_rubbish_is_refused_by_every_reader(raw: bytes) -> None:
    isa = b"ISA*00*          *00*          *ZZ*THEM           *ZZ*US             *260101*1200*^*00501*000000001*0*T*:~"
    for before in (
        b"",
        isa,
        isa + b"GS*HP*A*B*20260101*1200*1*X*005010X221A1~ST*835*0001~",
        b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5.1\r",
        b"\x0b",
    ):
        for read in readers.READERS.values():
            read(before + raw)
