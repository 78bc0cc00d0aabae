"""Reads what a payer's member numbers look like; without it one pattern typed in haste could hold up all claims."""

from __future__ import annotations

import re
from functools import lru_cache

MOST_WAYS = 20_000
NO_END = 80  # a member's number has at most so many characters
ATOM = r"\\[dDwWsS]|\\[^\w\s]|\[\^?(?:\\[dDwWsS]|\\[^\w\s]|[^\]\\\[])+\]|[^\\\[\](){}|*+?^$]"
PART = re.compile(
    rf"(?P<atom>{ATOM})(?P<times>[*+?]|\{{(?P<least>\d{{1,2}})(?P<to>,(?P<most>\d{{0,2}}))?\}})?|(?P<sign>[(|)])"
)
OPENING = re.compile(r"\((?:\?:)?")


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern of a payer, which no number makes slow.

    Characters, classes, alternatives and groups that are not repeated; repetitions that may be tried in few ways only.

    Raises:
        ValueError: no regular expression, or not one of these; with a sentence.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError("This is no regular expression.") from error
    if _ways(pattern.removeprefix("^").removesuffix("$")) > MOST_WAYS:
        raise ValueError(
            "This expression may take too long; write classes with a number of times, as [A-Z]{2}[0-9]{9}."
        )
    return found


def _ways(pattern: str) -> int:
    """Return in how many ways a number of 80 characters may be tried at most; what is not understood has no end."""
    ways, place = 1, 0
    plain = OPENING.sub("(", pattern)
    while place < len(plain):
        part = PART.match(plain, place)
        if part is None:
            return MOST_WAYS + 1
        ways *= _choices(part)
        place = part.end()
    return ways


def _choices(part: re.Match[str]) -> int:
    if part["sign"]:
        return 2 if part["sign"] == "|" else 1
    if part["times"] == "?":
        return 2
    if part["times"] in {"*", "+"} or part["to"] == ",":
        return NO_END
    return int(part["most"]) - int(part["least"]) + 1 if part["to"] else 1
