"""Proves that text in a narrative stays text: nothing that a person wrote can become markup in a reader's browser."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.fhir.values import fit, narrated, narrative
from tests.support.fhir_rows import HOSTILE

XHTML = "{http://www.w3.org/1999/xhtml}"


def shown(div: str) -> str:
    """Return what a browser would show: the text of the one paragraph that the div holds."""
    root = ET.fromstring(div)  # noqa: S314  # our own
    assert root.tag == f"{XHTML}div"
    (paragraph,) = root
    assert (paragraph.tag, len(paragraph)) == (f"{XHTML}p", 0)
    return paragraph.text or ""


@pytest.mark.parametrize(
    "text", [*HOSTILE, "</p></div><script>alert(1)</script>", "&amp;lt; ]]> <!-- -->", "\ufffe\uffff"]
)
def test_hostile_text_is_shown_as_it_was_written(text: str) -> None:
    assert shown(narrative(text)) == fit(text).replace("\ufffe", " ").replace("\uffff", " ")
    assert json.loads(narrated(text)) == narrative(text)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_is_shown_as_it_was_written(text: str) -> None:
    assert shown(narrative(text)) == fit(text).replace("\ufffe", " ").replace("\uffff", " ")
