"""Holds that the generated documents are what the code says now."""

import pathlib
import re

from backend.apps.core.management.commands import roles
from workers.cli import code_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_role_table_in_the_docs_is_the_one_in_the_code() -> None:
    assert (ROOT / "docs" / "roles.md").read_text().rstrip() == roles.table().rstrip()


def test_the_threats_name_every_attack_and_only_proofs_and_rules_that_there_are() -> None:
    text = (ROOT / "docs" / "THREATS.md").read_text()
    assert {int(number) for number in re.findall(r"attack (\d+)", text)} == set(range(1, 63))
    named = re.findall(r"`((?:backend|tests|workers)/[^`]+)`", text)
    assert len(named) > 15
    assert [path for path in named if path != "tests/security/attacks" and not (ROOT / path).exists()] == []
    rules = {name for words in re.findall(r"rules? (`[^|]*`)", text) for name in re.findall(r"`([a-z-]+)`", words)}
    assert rules
    assert rules <= set(code_rules.names())
