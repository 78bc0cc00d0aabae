"""Proves which patterns of member numbers a payer may have, and that none of them makes a claim wait."""

from __future__ import annotations

import pytest

from backend.apps.insurance import member_patterns


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("W[0-9]{9}", "W123456789", "M123456789"),
        (r"^\d{3}-?\d{2,6}$", "123-4567", "123-4"),
        ("(?:[A-Z]{3}|R)[0-9]+", "XYZ12", "XY12"),
        ("[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]", "1EG", "1SG"),
        (r"\w*", "A1", "A-1"),
    ],
)
def test_classes_with_a_number_of_times_are_patterns(pattern: str, fits: str, does_not: str) -> None:
    compiled = member_patterns.compiled(pattern)
    assert compiled.fullmatch(fits)
    assert not compiled.fullmatch(does_not)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "([A-Z]*)*",
        "(a|a)*",
        "(?:[0-9]{1,9}){1,9}",
        "[0-9]*[0-9]*[0-9]*X",
        "[A-Z]?" * 20,
        "(.|.)" * 20,
        r"(a)\1",
        "(?=a)a",
        "(?P<x>a)",
        "a{1,2}{3}",
        "a*?b*+c",
    ],
)
def test_what_could_be_tried_in_many_ways_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"too long|no regular expression"):
        member_patterns.compiled(pattern)


def test_what_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        member_patterns.compiled("(")
