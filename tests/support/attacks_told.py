"""Says at the end of a run which attacks were made and how they ended; without it a list of 62 would be a promise."""

from __future__ import annotations

import re

import pytest

ATTACK = re.compile(r"tests/security/attacks/.*::test_attack_(\d\d)_(\w+)")
WORDS = {
    "passed": "refused",
    "xfailed": "KNOWN WEAKNESS",
    "failed": "NOT REFUSED",
    "error": "NOT MADE",
    "skipped": "not made",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ends: dict[tuple[str, str], str] = {}
    for outcome, word in WORDS.items():
        for report in terminalreporter.stats.get(outcome, ()):
            if found := ATTACK.match(getattr(report, "nodeid", "")):
                ends[found[1], found[2].replace("_", " ")] = word
    if not ends:
        return
    refused = sum(word == "refused" for word in ends.values())
    terminalreporter.section(f"{len(ends)} attacks: {refused} refused")
    for (number, name), word in sorted(ends.items()):
        terminalreporter.line(f"{number} {word}: {name}")
