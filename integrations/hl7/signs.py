"""The separators a sender chose, and the escape sequences that keep them out of a text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

MOST_ESCAPES = 100_000  # decoded in one field; what a hostile one has more is kept as sent
LINES = frozenset({"br", "ce", "sp"})  # formatting commands that end a line; the others stay as sent


class Separators(NamedTuple):
    """MSH-1 and MSH-2; senders may choose their own. `truncation` exists from version 2.7 on, in the wild before."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @classmethod
    def of(cls, line: str) -> Separators:
        """Read them from a line that begins with MSH; what is missing is as usual."""
        return _chosen(line[3:9])


@functools.lru_cache(maxsize=256)
def _chosen(text: str) -> Separators:
    text = re.split(r"[\r\n]", text, maxsplit=1)[0]
    field = text[:1] or "|"
    given = text[1:].split(field, 1)[0]
    component, repetition, escape, subcomponent = (given[i : i + 1] or usual for i, usual in enumerate("^~\\&"))
    return Separators(field, component, repetition, escape, subcomponent, given[4:5])


def escape(text: str, separators: Separators) -> str:
    """Write `text` so that no character of it can be taken for a separator or the end of a segment."""
    signs = separators
    codes = {signs.escape: "E", signs.field: "F", signs.component: "S", signs.repetition: "R", signs.subcomponent: "T"}
    table = {ord(sign): f"{signs.escape}{code}{signs.escape}" for sign, code in codes.items()}
    if signs.truncation:
        table[ord(signs.truncation)] = f"{signs.escape}P{signs.escape}"
    for end in "\r\n":
        table[ord(end)] = f"{signs.escape}X{ord(end):02X}{signs.escape}"
    return text.translate(table)


@functools.lru_cache(maxsize=256)
def decoder(separators: Separators, charset: str) -> Callable[[str], str]:
    r"""Return the function that replaces known escape sequences; only those are touched.

    `\.br\` and `\.ce\` become a line end, `\.sp3\` three, `\.sk3\` three blanks; `\X..\` is text in `charset`.
    Highlighting, indents, `\C..\`, `\M..\`, `\Z..\` and whatever is no known sequence stay as sent.

    Source: HL7 v2.5.1, chapter 2, section 2.7.
    """
    signs, sign = separators, re.escape(separators.escape)
    letters = {
        "F": signs.field,
        "S": signs.component,
        "R": signs.repetition,
        "T": signs.subcomponent,
        "E": signs.escape,
    }
    if signs.truncation:
        letters["P"] = signs.truncation
    layout = r"\.(br|ce|sp|sk)([0-9]{0,2})"
    pattern = re.compile(rf"{sign}(?:([{''.join(letters)}])|{layout}|X([0-9A-Fa-f]+)){sign}")

    def replace(found: re.Match[str]) -> str:
        letter, command, count, digits = found.groups()
        if letter:
            return letters[letter]
        if command:
            return ("\n" if command in LINES else " ") * int(count or 1)
        try:
            return bytes.fromhex(digits).decode(charset)
        except ValueError:  # an odd number of digits, or bytes that are no text
            return found[0]

    return lambda text: pattern.sub(replace, text, count=MOST_ESCAPES)
