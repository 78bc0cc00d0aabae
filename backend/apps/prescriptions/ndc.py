"""The National Drug Code in its one stored shape; without this one package would be on file under three codes."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

NDC = r"^[0-9]{5}-[0-9]{4}-[0-9]{2}$"
SHAPES = {(4, 4, 2), (5, 3, 2), (5, 4, 1), (5, 4, 2)}
SENTENCE = "Write the NDC as 4-4-2, 5-3-2, 5-4-1 or 5-4-2 digits with hyphens, or as eleven digits."


def normalized(text: str) -> str:
    """Return a code as 5-4-2 digits: "0002-3227-30" and "00002322730" both become "00002-3227-30".

    Ten digits without hyphens are refused, for nobody can tell where the missing zero belongs.

    Raises:
        ValidationError: not one of the shapes.

    Source: 21 CFR 207.33(b); CMS, "National Drug Code, billing format 5-4-2".
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{11}", text):
        return f"{text[:5]}-{text[5:9]}-{text[9:]}"
    parts = text.split("-")
    if not (text.isascii() and all(part.isdigit() for part in parts) and tuple(map(len, parts)) in SHAPES):
        raise ValidationError(SENTENCE, code="ndc")
    labeler, product, package = parts
    return f"{labeler:0>5}-{product:0>4}-{package:0>2}"


def validate_ndc(value: str) -> None:
    normalized(value)
