"""Throws damaged samples and plain rubbish at every reader: only the declared refusals may come out."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.x12.sniff import Kind
from tests.integrations.fuzz import damage, readers
from tests.integrations.fuzz.damage import HL7, X12, Damage, damaged, swapped

EXAMPLES = int(os.environ.get("CARERELAY_FUZZ_EXAMPLES", "150"))  # the long form: 100000
SIGNS = st.sampled_from(damage.SIGNS)
RUBBISH = st.binary(max_size=12) | SIGNS
PLACES = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 60), RUBBISH), max_size=6)


PAIRS = st.lists(st.tuples(SIGNS, RUBBISH), max_size=3)


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(X12), PLACES, PAIRS)
def test_a_damaged_answer_of_a_payer_is_read_or_refused(
    path: Path, places: Damage, pairs: list[tuple[bytes, bytes]]
) -> None:
    readers.x12(damaged(path, places))
    readers.x12(swapped(path, pairs))


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(HL7), PLACES, PAIRS)
def test_a_damaged_message_of_a_laboratory_is_read_or_refused(
    path: Path, places: Damage, pairs: list[tuple[bytes, bytes]]
) -> None:
    for raw in (damaged(path, places), swapped(path, pairs)):
        damage.by_hl7(raw)


@settings(max_examples=EXAMPLES)
@given(st.lists(RUBBISH, max_size=40).map(b"".join))
def test_rubbish_is_refused_by_every_reader(raw: bytes) -> None:
    for before in damage.BEGINNINGS:
        for read in readers.READERS.values():
            read(before + raw)


OURS = {"837P", "276", "270"}  # what we write and send: no reader of ours takes one in
NOT_TAKEN = {"837I", "other"}  # what is told by its kind and read no further


def test_every_kind_of_x12_that_is_taken_in_is_thrown_at_its_reader() -> None:
    assert {str(kind) for kind in Kind} - OURS - NOT_TAKEN == {str(kind) for kind in readers.READ}
    seen = {Kind(kind) for path in X12 for kind in readers.kinds_of(path.read_bytes())}
    assert seen >= set(readers.READ), "there is a sample of each"
