"""Holds that a read costs one statement for the log, and that what `bench audit` measures can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import audit as bench


@pytest.mark.django_db(transaction=True)
def test_the_bench_measures_every_bar_and_a_read_costs_one_query(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_ANCHOR = f"file:{tmp_path}/anchors.log"
    found = bench.measured(clients=2, rows=20, rounds=2, sealed=2_000)
    assert [bar.what.split()[0] for bar in found] == ["inserts", *["rows"] * 2, *["queries"] * 3]
    assert [bar.measured for bar in found[-3:]] == ["1"] * 3
    assert all(int(bar.measured.rstrip("%").replace(",", "")) > 0 for bar in found)
