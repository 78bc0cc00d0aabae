"""Holds the count of paid messages: the limits, the alphabet, and the characters that are two."""

from __future__ import annotations

import pytest

from backend.apps.messaging.segments import BASIC, GSM_7, UCS_2, Segments, count, not_gsm


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", GSM_7, 0, 0),
        ("Your visit is Tue at 10:30 AM.", GSM_7, 30, 1),
        ("é" * 160, GSM_7, 160, 1),
        ("a" * 161, GSM_7, 161, 2),
        ("a" * 306, GSM_7, 306, 2),
        ("a" * 307, GSM_7, 307, 3),
        ("€" * 80, GSM_7, 160, 1),
        ("a" * 159 + "€", GSM_7, 161, 2),
        ("í", UCS_2, 1, 1),
        ("You\u2019re due", UCS_2, 10, 1),
        ("í" * 70, UCS_2, 70, 1),
        ("í" * 71, UCS_2, 71, 2),
        ("í" * 134, UCS_2, 134, 2),
        ("í" * 135, UCS_2, 135, 3),
        ("👍", UCS_2, 2, 1),
        ("👍" * 35, UCS_2, 70, 1),
        ("👍" * 36, UCS_2, 72, 2),
    ],
)
def test_r43_segments_are_counted_as_they_are_paid(text: str, encoding: str, units: int, segments: int) -> None:
    assert count(text) == Segments(encoding, units, segments)


def test_r43_a_character_of_two_units_is_not_cut_in_two() -> None:
    assert count("a" * 152 + "€" + "a" * 152).segments == 3, (
        "306 units, but the sign does not fit at the end of the first"
    )
    assert count("í" * 66 + "👍" + "í" * 66).segments == 3
    assert count("a" * 151 + "€" + "a" * 153).segments == 2


@pytest.mark.parametrize("text", ["ç", "ê", "á", "ú", "“", "…", "\u2013", "\t", "`", "\u00a0"])
def test_r43_letters_that_look_plain_but_are_not_in_the_alphabet(text: str) -> None:
    assert count(text).encoding == UCS_2


def test_the_alphabet_has_its_127_letters() -> None:
    assert len(BASIC) == 127, "128 places, one of them the escape to the extension"


def test_an_author_is_told_which_letters_cost() -> None:
    assert not_gsm("Sí, you\u2019re due \u2013 sí [ok] €5") == ["í", "\u2019", "\u2013"]
