"""How books are closed: accounts, and what is wrong; without it each part would prove itself in a way of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

EXAMPLES = 1_000  # of a fault, that are kept: what is new is told by them from what a person let be
SHOWN = 20  # of them, to a person

Progress = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True, slots=True)
class Account:
    """One partner's rows of the range. taken_in: what came, counted when it came; outcomes: where each ended."""

    name: str
    taken_in: int
    outcomes: dict[str, int]
    in_line: int = 0

    @property
    def unexplained(self) -> int:
        """How many rows are missing (above 0) or come from nowhere (below)."""
        return self.taken_in - sum(self.outcomes.values()) - self.in_line


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not agree, for `count` rows; examples: ids of them, up to EXAMPLES. No row's content."""

    check: str
    sentence: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """What one part of the clinic can prove for a range. waiting_since: when the oldest row still in line came."""

    part: str
    since: datetime | None
    until: datetime | None
    accounts: list[Account] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    waiting_since: datetime | None = None

    @property
    def agree(self) -> bool:
        return not self.faults and not any(account.unexplained for account in self.accounts)


def as_told(books: Books) -> dict[str, Any]:
    """Return books as JSON, with verdicts."""
    told = asdict(books)
    for account, row in zip(books.accounts, told["accounts"], strict=True):
        row["unexplained"] = account.unexplained
    for name in ("since", "until", "waiting_since"):
        told[name] = told[name].isoformat() if told[name] else None
    return {**told, "agree": books.agree}
