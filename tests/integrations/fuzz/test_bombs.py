"""Holds that no hostile input of many megabytes takes more time and memory than its size explains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.fuzz.bombs import BOMBS

ROOT = Path(__file__).resolve().parents[3]
MEGABYTES = float(os.environ.get("CARERELAY_FUZZ_MEGABYTES", "2"))  # the long form: 10
SECONDS_EACH, MEGABYTES_EACH = 5.0, 40.0  # of a megabyte: five times what the slowest and the hungriest take


@pytest.mark.parametrize("reader", sorted(BOMBS))
def test_time_and_memory_grow_no_faster_than_the_input(reader: str) -> None:
    words = [sys.executable, "-m", "tests.integrations.fuzz.bombs", reader, str(int(MEGABYTES * 1_000_000))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, cwd=ROOT, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in found] == list(BOMBS[reader]), done.stderr[-2000:]
    assert not [one for one in found if one.get("failed")], done.stderr[-2000:]
    over = [one for one in found if one["seconds"] > 2 + SECONDS_EACH * MEGABYTES]
    assert not over
    assert not [one for one in found if one["megabytes"] > 50 + MEGABYTES_EACH * MEGABYTES]
