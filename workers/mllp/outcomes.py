"""Tells senders what became of their messages; without it no lab that asks for an answer after filing would get one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from integrations.hl7.ack import Code
from workers import intake
from workers.inbound import sealed_receipt
from workers.mllp.database import Blobs, Database, Texts, Trouble, Uuids
from workers.mllp.exchange import Exchange

EVERY_S = 0.1  # between two looks at all that is waited for
AT_ONCE = 1000  # rows of one look
MOST = 20_000  # awaited at a time; what comes beyond is told when it is sent again

LOOK = """
SELECT id, status, work_state FROM laboratory_inboundmessage
WHERE id = ANY(%s::uuid[]) AND (status <> 'received' OR work_state IN ('failed', 'held'))
"""
NOTE = """
UPDATE laboratory_inboundmessage kept
SET application_ack = told.code, application_ack_at = CASE WHEN told.sent = 'yes' THEN now() END,
    ack_code = CASE WHEN told.receipt = ''::bytea THEN kept.ack_code ELSE told.code END,
    ack_sent = CASE WHEN told.receipt = ''::bytea THEN kept.ack_sent ELSE told.receipt END, updated_at = now()
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bytea[]) AS told(id, code, sent, receipt)
WHERE kept.id = told.id
"""

log = logging.getLogger(__name__)


class Awaited(NamedTuple):
    """An exchange whose outcome somebody waits for, and until when (in the loop's time)."""

    exchange: Exchange
    until: float


class Told(NamedTuple):
    """What is noted about an application acknowledgement. receipt: its bytes when it was the only answer."""

    key: bytes
    code: str
    sent: str
    receipt: bytes
    dedupe_key: str


class Outcomes:
    """One look at the database for everybody who waits.

    A deferred answer comes in time or is AE; the sender repeats the message, which is stored already, and waits again.
    An application acknowledgement whose connection is gone is noted as not sent, and is sent when the message is
    repeated.
    """

    def __init__(self, database: Database, filing_s: float) -> None:
        self._database = database
        self._filing_s = filing_s
        self._waiting: dict[bytes, list[Awaited]] = {}
        self._told: deque[Told] = deque(maxlen=MOST)
        self._more = asyncio.Event()
        self._trouble = Trouble(log)
        self._now = asyncio.get_running_loop().time

    def await_(self, exchange: Exchange, row: UUID | None) -> None:
        """Tell the sender once the row (the message's own, or the one of its first arrival) has an outcome."""
        if len(self._waiting) >= MOST:
            if exchange.taken.later == intake.DEFERRED:
                exchange.settle(intake.refusal(exchange.taken, intake.now()))
            return
        exchange.forget()
        key = row.bytes if row is not None else exchange.taken.key
        self._waiting.setdefault(key, []).append(Awaited(exchange, self._now() + self._filing_s))
        self._more.set()

    def settle(self, exchange: Exchange, row: UUID, code: Code) -> None:
        """Tell a sender what is known already."""
        self._tell(row.bytes, exchange, code)
        self._more.set()

    async def run(self) -> None:
        while True:
            if not self._waiting and not self._told:
                self._more.clear()
                await self._more.wait()
            try:
                await self._look()
                await self._note()
            except psycopg.Error as error:
                self._trouble.tell("cannot look for outcomes", error)
            self._give_up()
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        keys = list(islice(self._waiting, AT_ONCE))
        if not keys:
            return
        found: list[Any] = await self._database.rows(LOOK, [Uuids(keys)])
        for row, status, work_state in found:
            code = intake.filed(status, work_state)
            if code is not None:
                for awaited in self._waiting.pop(row.bytes, ()):
                    self._tell(row.bytes, awaited.exchange, code)
        for key in keys:  # who is still waiting goes to the end of the line
            if key in self._waiting:
                self._waiting[key] = self._waiting.pop(key)

    def _tell(self, key: bytes, exchange: Exchange, code: Code) -> None:
        answer = intake.outcome_answer(exchange.taken, code, intake.now())
        connection, told = exchange.connection, code.value.decode()
        if exchange.taken.later == intake.DEFERRED:
            self._told.append(Told(key, told, "no" if connection.gone else "yes", answer, exchange.taken.dedupe_key))
            exchange.settle(answer)
        elif answer:
            self._told.append(Told(key, told, "yes" if connection.write(answer) else "no", b"", ""))

    def _give_up(self) -> None:
        """Answer AE to those who have waited long enough for their only answer; forget those who hung up."""
        now = self._now()
        for key, all_awaited in list(self._waiting.items()):
            kept = [awaited for awaited in all_awaited if not self._is_over(key, awaited, now)]
            if kept:
                self._waiting[key] = kept
            else:
                del self._waiting[key]

    def _is_over(self, key: bytes, awaited: Awaited, now: float) -> bool:
        exchange = awaited.exchange
        if exchange.taken.later != intake.DEFERRED:
            return exchange.connection.gone
        if now > awaited.until:
            self._tell(key, exchange, Code.ERROR)
        return now > awaited.until

    async def _note(self) -> None:
        """Write down what was said, of one row the last."""
        batch = {told.key: told for told in islice(self._told, AT_ONCE)}
        count = min(len(self._told), AT_ONCE)
        if not batch:
            return
        rows = [batch[key] for key in sorted(batch)]
        codes, sent = Texts([told.code for told in rows]), Texts([told.sent for told in rows])
        receipts = Blobs([sealed_receipt(told.dedupe_key, told.receipt) for told in rows])
        await self._database.rows(NOTE, [Uuids([told.key for told in rows]), codes, sent, receipts])
        for _ in range(count):
            self._told.popleft()
