"""What is odd about a message, told by place and shape; without it each reader would have its own words for it."""

from __future__ import annotations

from typing import NamedTuple

MOST_FINDINGS = 1_000  # of one reading; a hostile message could have a million


class Finding(NamedTuple):
    """Something that is not as it should be, told without the value: where, and what."""

    segment: str
    number: int  # which segment of that name, from 1
    field: int  # 0: the segment as a whole
    message: str
