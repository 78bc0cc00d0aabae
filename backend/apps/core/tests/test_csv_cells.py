"""Proves that no cell of a CSV file of ours is a formula and that its text is kept."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.apps.core.csv_cells import STARTS, safe, table


@pytest.mark.parametrize("start", [*STARTS, " =", "  @"])
def test_what_could_be_a_formula_is_shown_and_not_run(start: str) -> None:
    assert safe(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


def test_what_is_none_stays_as_it_is() -> None:
    assert [safe(cell) for cell in ("Ada", "", None, -3, Decimal("-1.50"), "a=b", "O'Brien")] == [
        "Ada", "", "", "-3", "-1.50", "a=b", "O'Brien",
    ]  # fmt: skip


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8), min_size=2, max_size=2)
    )
)
def test_every_text_is_read_back_with_an_apostrophe_at_most(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(table(["one", "=two"], rows), newline="")))
    assert read[0] == ["one", "'=two"]
    for given_row, got in zip(rows, read[1:], strict=True):
        assert [cell.removeprefix("'") for cell in got] == [cell.removeprefix("'") for cell in given_row]
