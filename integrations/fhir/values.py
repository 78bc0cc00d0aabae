"""Makes text fit to be a FHIR string, in one place for dict and line."""

from __future__ import annotations

import re

import orjson

# R4, datatypes: a string has no characters below U+0020 but tab, line feed and return, and of white space only those
# and the space.
UNFIT = re.compile(r"[^\S \t\r\n]|[\x00-\x08\x0b\x0c\x0e-\x1f]")

# XML 1.0, 2.2: characters that no XML may hold although Unicode has them. A line feed alone ends a line (2.11).
UNWRITTEN = re.compile(r"[\ufffe\uffff]")
MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\r": "&#13;"})


def fit(text: str) -> str:
    """Return the text with every character that a FHIR string may not hold as a space."""
    return text if text.isprintable() else UNFIT.sub(" ", text)


def folded(text: str | None) -> str | None:
    """Return the text as a FHIR code may be, with one space for any white space; None where nothing is left."""
    return " ".join(fit(text).split()) or None if text else None


def quoted(text: str) -> str:
    """Return the text as a JSON string."""
    return orjson.dumps(text if text.isprintable() else UNFIT.sub(" ", text)).decode()


def narrative(text: str) -> str:
    """Return the text as the div of a Narrative; nothing in it can be read as an element, an entity or a comment."""
    escaped = UNWRITTEN.sub(" ", fit(text)).translate(MARKUP)
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><p style="white-space: pre-wrap">{escaped}</p></div>'


def narrated(text: str) -> str:
    """Return the div of the text as a JSON string."""
    return orjson.dumps(narrative(text)).decode()


def fragment(tree: object) -> str:
    """Return a tree without holes as JSON."""
    return orjson.dumps(tree).decode()
