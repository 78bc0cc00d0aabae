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

    asked: how many were to go or come. expected: how they have to end, by what was asked and by the partner's last word
    on each. happened: how they ended, by our own words. counted: what the partner says in words of its own. doubled:
    how many it has twice; lost: how many one side has and the other has not; in_line: how many still wait though their
    time has come; apart: of how many both sides know, and say something else. books: what reconcile says; None: it was
    not asked, or another row says it.
    """

    pipeline: str
    asked: int
    expected: Mapping[str, int]
    happened: Mapping[str, int] = field(default_factory=dict)
    counted: str = "-"
    doubled: int = 0
    lost: int = 0
    in_line: int = 0
    apart: int = 0
    books: str | None = None
    agree: bool = True

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be, in a few words each."""
        kinds = (
            (self.doubled, "twice"), (self.lost, "lost"), (self.in_line, "still in line"),
            (self.apart, "told otherwise there"),
        )  # fmt: skip
        told = [f"{count} {word}" for count, word in kinds if count]
        unexplained = self.asked - sum(self.happened.values()) - self.in_line
        told += [f"{unexplained} of those asked ended in nothing"] if unexplained > 0 else []
        told += [f"{-unexplained} more than asked"] if unexplained < 0 else []
        return told + self._endings() + ([] if self.agree else ["the books do not agree"])

    def _endings(self) -> list[str]:
        words = sorted({*self.expected, *self.happened})
        counts = [(word, self.happened.get(word, 0), self.expected.get(word, 0)) for word in words]
        return [f"{there} {word} instead of {wanted}" for word, there, wanted in counts if there != wanted]

    def cells(self) -> tuple[str, ...]:
        ended = ", ".join(f"{count} {word}" for word, count in sorted(self.happened.items()) if count) or "nothing"
        wrong = [f"WRONG: {', '.join(self.wrong)}"] if self.wrong else []
        return (self.pipeline, f"{self.asked:,}", ended, self.counted, "\n".join([self.books or "-", *wrong]))


def is_good(rows: Sequence[Row]) -> bool:
    return bool(rows) and not any(row.wrong for row in rows)


def show(rows: Sequence[Row]) -> None:
    console.table("The day", COLUMNS, [row.cells() for row in rows])


def document(rows: Sequence[Row], *, otherwise_good: bool = True, **about: Any) -> dict[str, Any]:
    """Return the table as one JSON document; about: what else is told of the day."""
    plain = ("expected", "happened")
    told = [{**asdict(row), **{name: dict(getattr(row, name)) for name in plain}, "wrong": row.wrong} for row in rows]
    return {**about, "rows": told, "good": is_good(rows) and otherwise_good}
