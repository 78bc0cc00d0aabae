"""One laboratory's connection: frames in, answers out, in the order of its messages. Never waits for anything."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from integrations.hl7 import mllp
from workers.mllp.exchange import Exchange, Group

if TYPE_CHECKING:
    from workers.mllp.door import Door


class Pause:
    """Why a connection is not read, as bits of a number: it is read while that is 0. Plain numbers are ten times faster
    than an enumeration, and every message looks at them."""

    CLOSED_DOOR = 1  # we cannot decide about messages yet, or are leaving
    MEMORY = 2  # all connections together hold as much as we bear
    UNANSWERED = 4  # it has sent more than it has been told
    BLOCKED = 8  # it does not take its answers
    ENDING = 16


HELD_BACK = Pause.CLOSED_DOOR | Pause.ENDING  # nothing more is handed in
OURS = Pause.CLOSED_DOOR | Pause.MEMORY | Pause.UNANSWERED  # the peer is not to blame: its clock stands still


class Connection(asyncio.Protocol):
    """`began` is when the message that is coming in began, `clock` since when its time runs (not while we do not read),
    `heard` when the last whole one came. admitted: names one of which the peer's certificate must bear; empty: any."""

    __slots__ = (
        "address", "admitted", "began", "blocked", "certificate", "clock", "deframer", "door", "ends_at", "heard",
        "held", "paused", "pending", "said_all", "transport",
    )  # fmt: skip

    def __init__(self, door: Door, admitted: frozenset[str] = frozenset()) -> None:
        self.door = door
        self.admitted = admitted
        self.deframer = mllp.Deframer(door.limits.message)
        self.pending: deque[Exchange | Group] = deque()
        self.paused = 0
        self.held = 0
        self.said_all = False
        self.began = self.clock = self.blocked = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        tls = transport.get_extra_info("ssl_object")
        self.certificate, self.ends_at = fingerprint(tls), end_of(tls)
        self.heard = self.door.now()
        if self.admitted and not self.admitted & names(tls):
            return self.drop("unknown_certificate")
        self.door.enter(self)
        if self.paused:  # the loop begins to read after this call, whatever was said in it
            asyncio.get_running_loop().call_soon(self._stay_paused)
        return None

    def _stay_paused(self) -> None:
        if self.paused and not self.transport.is_closing():
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if not self.deframer.size:  # a message begins
            self.began = self.clock = self.door.now()
        self.deframer.push(data)
        self.work()

    def work(self) -> None:
        """Hand in what is whole, as long as the peer may have more answers to come."""
        came = 0
        try:
            while len(self.pending) < self.door.limits.unanswered and not self.paused & HELD_BACK:
                content = self.deframer.pop()
                if content is None:
                    break
                came += 1
                self.door.take(self, content)
        except mllp.FrameTooLong:
            self.end("message_too_long")
        if came:
            self.began = self.clock = self.heard = self.door.now()
        size = self.deframer.size
        if size != self.held:
            self.door.hold(size - self.held)
            self.held = size
        if len(self.pending) >= self.door.limits.unanswered:
            self.pause(Pause.UNANSWERED)

    def flush(self) -> None:
        """Write the answers that are known, up to the first that is not."""
        pending, answers = self.pending, []
        while pending and (answer := pending[0].answer) is not None:
            pending.popleft()
            if answer:
                answers.append(mllp.frame(answer))
        if answers:
            self.transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
        if self.paused & Pause.UNANSWERED and len(pending) <= self.door.limits.unanswered // 2:
            self.resume(Pause.UNANSWERED)
            self.work()
        self.leave_if_done()

    def write(self, message: bytes) -> bool:
        """Send a message of our own; False when the peer is gone or going."""
        if self.gone:
            return False
        self.transport.write(mllp.frame(message))
        return True

    def pause(self, why: int) -> None:
        if not self.paused and not self.transport.is_closing():
            self.transport.pause_reading()
        self.paused |= why

    def resume(self, why: int) -> None:
        before, self.paused = self.paused, self.paused & ~why
        if before & OURS & ~self.paused:
            self.clock = self.heard = self.door.now()
        if before and not self.paused and not self.transport.is_closing() and not self.said_all:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.blocked = self.door.now()
        self.pause(Pause.BLOCKED)

    def resume_writing(self) -> None:
        self.resume(Pause.BLOCKED)

    def eof_received(self) -> bool:
        """Keep a half-closed connection open until everything that was sent whole is answered."""
        self.said_all = True
        if isinstance(self.transport.get_extra_info("ssl_object"), ssl.SSLObject):
            return False  # TLS knows no half-closed connection
        self.leave_if_done()
        return True

    def end(self, why: str) -> None:
        """Read no more, and hang up once everything that was sent whole is answered."""
        self.door.counters.cut[why] += 1
        self.pause(Pause.ENDING)
        self.leave_if_done()

    def leave_if_done(self) -> None:
        is_over = self.paused & Pause.ENDING or self.said_all
        if is_over and not self.pending and not self.transport.is_closing():
            self.transport.close()

    def check(self, now: float) -> None:
        """End what is too slow or idle; called once a second."""
        limits = self.door.limits
        if self.paused & OURS:
            self.clock = self.heard = now
        if self.paused & Pause.BLOCKED and now - self.blocked > limits.blocked_s:
            self.drop("takes_no_answers")
        elif self.deframer.pending and now - self.clock > limits.frame_s:
            self.drop("slow")
        elif not self.pending and self._is_idle(now):
            self.drop("idle")

    def _is_idle(self, now: float) -> bool:
        """Whether nobody is there any more; a message that is coming in has its own time, however late it began."""
        if self.said_all:
            return now - self.heard > self.door.limits.blocked_s
        return not self.deframer.pending and now - self.heard > self.door.limits.idle_s

    def drop(self, why: str) -> None:
        self.door.counters.cut[why] += 1
        self.transport.abort()

    def connection_lost(self, reason: Exception | None) -> None:
        self.door.hold(-self.held)
        self.held = 0
        self.pending.clear()
        self.deframer = mllp.Deframer(0)
        self.door.leave(self)

    @property
    def gone(self) -> bool:
        """Whether nothing is said any more but answers: who has closed its end may have closed both."""
        return self.said_all or self.transport.is_closing()


def fingerprint(tls: ssl.SSLObject | None) -> str:
    """Return the SHA-256 of the peer's certificate (DER), empty without one."""
    certificate = None
    with contextlib.suppress(ValueError):  # the handshake is not done
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def end_of(tls: ssl.SSLObject | None) -> datetime | None:
    """Return when the peer's certificate ends; None without one that the handshake has verified."""
    told = _told(tls).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told), UTC) if told else None


def names(tls: ssl.SSLObject | None) -> set[str]:
    """Return the common name and the host names of the peer's certificate, which the handshake has verified."""
    told = _told(tls)
    common = {value for part in told.get("subject", ()) for kind, value in part if kind == "commonName"}
    return common | {value for kind, value in told.get("subjectAltName", ()) if kind == "DNS"}


def _told(tls: ssl.SSLObject | None) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError):  # the handshake is not done
        return (tls.getpeercert() or {}) if tls is not None else {}
    return {}
