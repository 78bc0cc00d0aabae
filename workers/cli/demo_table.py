"""The one table a demo day ends with: asked, happened, counted there, reconciled; and the verdict on each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from workers.cli import console

COLUMNS = ("pipeline", "asked", "happened", "the partner's own count", "reconcile says")


@dataclass(frozen=True)
class Row:
    """One pipeline at one partner.

    asked: how many were to go or come. happened: how they ended, by our own words. counted: what the partner says in
    words of its own. doubled: how many it has twice; lost: how many one side has and the other has not; in_line: how
    many still wait though their time has come. books: what reconcile says; None: it was not asked.
    """

    pipeline: str
    asked: int
    happened: Mapping[str, int] = field(default_factory=dict)
    counted: str = "-"
    doubled: int = 0
    lost: int = 0
    in_line: int = 0
    books: str | None = None
    agree: bool = True

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be, in a few words each."""
        kinds = ((self.doubled, "twice"), (self.lost, "lost"), (self.in_line, "still in line"))
        told = [f"{count} {word}" for count, word in kinds if count]
        unexplained = self.asked - sum(self.happened.values()) - self.in_line
        told += [f"{unexplained} of those asked ended in nothing"] if unexplained > 0 else []
        return told + ([] if self.agree else ["the books do not agree"])

    def cells(self) -> tuple[str, ...]:
        ended = ", ".join(f"{count} {word}" for word, count in sorted(self.happened.items()) if count) or "nothing"
        wrong = [f"WRONG: {', '.join(self.wrong)}"] if self.wrong else []
        return (self.pipeline, f"{self.asked:,}", ended, self.counted, "\n".join([self.books or "-", *wrong]))


def is_good(rows: Sequence[Row]) -> bool:
    return not any(row.wrong for row in rows)


def show(rows: Sequence[Row]) -> None:
    console.table("The day", COLUMNS, [row.cells() for row in rows])


def document(rows: Sequence[Row], **about: Any) -> dict[str, Any]:
    """Return the table as one JSON document; about: what else is told of the day."""
    told = [{**asdict(row), "happened": dict(row.happened), "wrong": row.wrong} for row in rows]
    return {**about, "rows": told, "good": is_good(rows) and about.get("scenes_good", True)}
