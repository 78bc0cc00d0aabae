"""Holds that the generated documents are what the code says now."""

import pathlib

from backend.apps.core.management.commands import roles

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_role_table_in_the_docs_is_the_one_in_the_code() -> None:
    assert (ROOT / "docs" / "roles.md").read_text().rstrip() == roles.table().rstrip()
