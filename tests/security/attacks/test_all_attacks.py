"""Holds that each of the 62 attacks has its one test; without it one could be dropped and nobody would count."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

NAMED = re.compile(r"^def test_attack_(\d\d)_", re.MULTILINE)


def test_each_of_the_62_attacks_is_made_once() -> None:
    files = Path(__file__).parent.glob("test_*.py")
    made = Counter(int(number) for file in files for number in NAMED.findall(file.read_text()))
    assert made == Counter(range(1, 63))
