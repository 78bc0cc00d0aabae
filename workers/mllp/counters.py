"""What the door did, in numbers; without it nobody could tell from the log whether labs are being heard."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

EVERY_S = 60.0

log = logging.getLogger(__name__)


class Counters:
    """Counts since the last line in the log; `open` is how many connections there are now."""

    def __init__(self) -> None:
        self.open = 0
        self.accepted = 0
        self.bytes = 0
        self.refused = Counter[str]()  # by the reason's name, never by a peer
        self.cut = Counter[str]()  # connections we ended, by why

    def __str__(self) -> str:
        told = [f"connections={self.open} accepted={self.accepted} bytes={self.bytes}"]
        for name, counter in (("refused", self.refused), ("cut", self.cut)):
            told += [f"{name}.{why}={count}" for why, count in sorted(counter.items())]
        return " ".join(told)

    async def report(self) -> None:
        """Write a line a minute, when there is anything to tell."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.tell()

    def tell(self) -> None:
        if self.accepted or self.refused or self.cut:
            log.info("%s", self)
        self.accepted = self.bytes = 0
        self.refused.clear()
        self.cut.clear()
