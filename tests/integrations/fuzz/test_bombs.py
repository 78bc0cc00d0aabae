"""Holds that no hostile input of many megabytes takes more time and memory than its size explains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.fuzz.bombs import BOMBS, is_over

ROOT = Path(__file__).resolve().parents[3]
MEGABYTES = float(os.environ.get("CARERELAY_FUZZ_MEGABYTES", "2"))  # `./carerelay fuzz` takes 10 of each
WHOLE = 10  # megabytes, of one for each reader: of those that take most memory the one that takes least time
HUNGRY = {"x12": "adjustments", "hl7": "escapes", "explained": "escapes", "stream": "frames"}
SECONDS, MOST_MEGABYTES = 12.0, 250.0  # of these; the suite runs beside others


def told(reader: str, megabytes: float, *names: str) -> list[dict[str, Any]]:
    size = str(int(megabytes * 1_000_000))
    words = [sys.executable, "-m", "tests.integrations.fuzz.bombs", reader, size, *names]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, cwd=ROOT, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in found] == list(names or BOMBS[reader]), done.stderr[-2000:]
    assert not [one for one in found if one.get("failed")], done.stderr[-2000:]
    return found


@pytest.mark.parametrize("reader", sorted(BOMBS))
def test_time_and_memory_grow_no_faster_than_the_input(reader: str) -> None:
    assert [one for one in told(reader, MEGABYTES) if is_over(one, MEGABYTES)] == []


@pytest.mark.parametrize("reader", sorted(BOMBS))
def test_ten_megabytes_take_seconds_and_a_bounded_memory(reader: str) -> None:
    [one] = told(reader, WHOLE, HUNGRY[reader])
    assert one["seconds"] < SECONDS
    assert one["megabytes"] < MOST_MEGABYTES
