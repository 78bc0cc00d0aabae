"""One message on its way through the door and back; without it an answer would not know its place in line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integrations.hl7 import batch
from workers import intake

if TYPE_CHECKING:
    from workers.intake import Taken
    from workers.mllp.connection import Connection


class Exchange:
    """A message and its answer: None until it is known, empty when nothing is said."""

    __slots__ = ("answer", "connection", "group", "size", "taken")

    def __init__(self, taken: Taken, connection: Connection, group: Group | None = None) -> None:
        self.taken = taken
        self.connection = connection
        self.group = group
        self.size = len(taken.arrival.raw)
        self.answer: bytes | None = None

    def forget(self) -> None:
        """Let go of the message's bytes, which are stored: an answer may be waited for long."""
        self.taken = self.taken._replace(arrival=self.taken.arrival._replace(raw=b""))

    def settle(self, answer: bytes) -> None:
        """Say `answer` as soon as it is this message's turn."""
        self.answer = answer
        if self.group is not None:
            self.group.settle()
        else:
            self.connection.flush()


class Group:
    """The messages of one frame, which are answered together once all are stored."""

    __slots__ = ("_open", "_whole", "answer", "connection", "exchanges")

    def __init__(self, connection: Connection, count: int, whole: batch.Batch) -> None:
        self.connection = connection
        self.exchanges: list[Exchange] = []
        self.answer: bytes | None = None
        self._open = count
        self._whole = whole

    def settle(self) -> None:
        """Say everything once the last message is answered."""
        self._open -= 1
        if self._open:
            return
        answers = [one.answer for one in self.exchanges if one.answer]
        own = self.exchanges[0].taken.key.hex()[12:]
        if self._whole.header is None:
            self.answer = b"".join(answers)
        else:
            self.answer = batch.acknowledge(self._whole, answers, batch_id=own, at=intake.now())
        self.connection.flush()
