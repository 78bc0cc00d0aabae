"""Keeps what the counterpart is told to do wrong, in a file; without it none could be ordered in another process."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

ACKNOWLEDGEMENTS = ("TA1", "999", "277CA", "277CA-payer")
ANSWERS = ("835", "271", "277")
KINDS = ACKNOWLEDGEMENTS + ANSWERS


@dataclass(frozen=True, slots=True)
class Orders:
    """What goes on besides the usual. What is named "next" is used up, one at a time; claims are named by CLM01."""

    at_once: list[str] = field(
        default_factory=list
    )  # of KINDS: written when a file arrives, the others when called for
    checks: bool = True  # pyx12 validates each file, which costs it 0.2 s to begin with
    holds: bool = False  # nothing is written, also of `at_once`, until it is called for
    next_cuts: list[int] = field(default_factory=list)  # bytes of an upload after which the connection is cut
    next_drops: int = 0  # renames after which the connection drops before the reply
    next_silences: int = 0  # renames that are done and never answered
    swallows: bool = False  # a file is taken away from the folder at once
    forgets: bool = False  # a control number that was used before is taken again, without a word
    next_notes: list[str] = field(default_factory=list)  # TA1 note codes with which the next files are rejected
    rejected_999: list[str] = field(default_factory=list)
    rejected_277: dict[str, str] = field(
        default_factory=dict
    )  # claim: "A3:..." by the payer, "A7:..." on the way there
    denied: dict[str, str] = field(default_factory=dict)  # claim: "CO-16"
    crossed_over: list[str] = field(default_factory=list)  # claims that the payer itself sends on to the next one
    next_reversals: list[str] = field(default_factory=list)  # paid claims, reversed and corrected in the next 835
    next_plb: list[list[str]] = field(default_factory=list)  # reason, reference, amount
    inquiries: dict[str, str] = field(default_factory=dict)  # TRN02 of a question: "inactive", or an AAA03 such as "75"
    separators: str = "*:^~"
    zips: bool = False
    grows: bool = False  # a third is there at first, another after each listing
    next_garbage: int = 0  # files that are no answer at all, written with the next answer
    called: list[str] = field(default_factory=list)  # kinds that a server of its own shall write now


NAMES = frozenset(one.name for one in fields(Orders))


class OrderBook:
    """The file of orders, safe to change from several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Orders:
        try:
            return Orders(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return Orders()

    def change(self, **orders: Any) -> None:
        """Set orders by name; whatever is not named stays as it was."""
        unknown = orders.keys() - NAMES
        if unknown:
            raise TypeError(f"no such orders: {', '.join(sorted(unknown))}")
        with self._locked() as now:
            now.update(orders)

    def next_of(self, name: str) -> Any:
        """Use up one entry of a list, or one of a count; None: there is none."""
        if not getattr(self.read(), name):
            return None
        with self._locked() as now:
            left = now[name]
            if not left:
                return None
            now[name] = left[1:] if isinstance(left, list) else left - 1
            return left[0] if isinstance(left, list) else left

    def all_of(self, name: str) -> list[Any]:
        """Use up a whole list."""
        if not getattr(self.read(), name):
            return []
        with self._locked() as now:
            left, now[name] = now[name], []
            return list(left)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            now = asdict(self.read())
            yield now
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(now))
            fresh.replace(self._path)
