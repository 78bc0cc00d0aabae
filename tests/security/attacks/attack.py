"""One attack: what is sent, and the four things that must hold after it; without it a test would forget one of them."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection
from datetime import datetime
from typing import Any

import requests
from django.db import connection

from backend.apps.core.models import AuditLog
from backend.apps.users.models import User
from integrations.hl7 import mllp
from tests.security.attacks.stack import AttackedStack, contents
from tests.security.hostile import TELLTALE
from tests.support.stage import until

MARKS = ("qvxwz", "1932-08-24", "19320824", "4155558462")  # in the victim's fields and nowhere else
CRASH = re.compile(r"^[ |]*([A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Timeout|NotOpaque)\b.*)", re.MULTILINE)
Answer = requests.Response
FORM: dict[str, Any] = {"headers": {"X-CSRFToken": "c" * 32}, "cookies": {"csrftoken": "c" * 32}}  # of our own pages


class Attack:
    """What one test does to the stack; when it ends, all rows must be as they were, and nothing may have leaked.

    Whatever the test makes, it makes before the first call, or between `lawful` and the next call.
    """

    def __init__(self, stack: AttackedStack) -> None:
        self.stack = stack
        self.stage_folder = stack.stage.folder
        self.began = now()
        stack.forget_refusals()
        self._logs = stack.logs()
        self._before: dict[str, str] | None = None
        self._may_change: set[str] = set()
        self._asserted: set[str] = set()
        self._broken = False
        self._attacks = True
        self._http = requests.Session()
        self._http.trust_env = False

    # -- what is sent -------------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        status: int | Collection[int],
        by: User | None = None,
        token: str = "",
        pages: bool = False,
        shows: bool = False,
        **more: Any,
    ) -> Answer:
        """Send one request; its status must be one of these, and its answer may tell nothing.

        by: who is signed in, over the API, or in the pages with `pages`. shows: who asks may see what marks the victim.
        """
        headers, cookies = dict(more.pop("headers", {})), dict(more.pop("cookies", {}))
        if by is not None and not pages:
            headers.setdefault("Authorization", f"Bearer {self.stack.token(by)}")
        elif by is not None:
            cookies["sessionid"] = self.stack.cookie(by)
        elif token:
            headers.setdefault("Authorization", f"Bearer {token}")
        self._look()
        more.setdefault("timeout", 30)
        more.setdefault("allow_redirects", False)
        answer = self._http.request(method.upper(), f"{self.stack.url}{path}", headers=headers, cookies=cookies, **more)
        wanted = {status} if isinstance(status, int) else set(status)
        assert answer.status_code in wanted, (method, path[:200], answer.status_code, answer.text[:500])
        self._asserted.add("status")
        self.tells_nothing(f"{answer.headers}\n{answer.text}", shows=shows)
        return answer

    def raw(self, sent: bytes, *, wait_s: float = 5.0) -> bytes:
        """Send bytes to the web's port and return what it answers until it hangs up or says no more."""
        self._look()
        with socket.create_connection(("127.0.0.1", self.stack.web), 5) as peer:
            return self._heard(peer, sent, wait_s)

    def lab(self, sent: bytes, *, wait_s: float = 5.0, last: bytes = mllp.END) -> bytes:
        """Send bytes to the port of laboratories and return the answer, empty when it hangs up without one."""
        self._look()
        with socket.create_connection(("127.0.0.1", self.stack.mllp), 5) as peer:
            return self._heard(peer, sent, wait_s, last)

    def _heard(self, peer: socket.socket, sent: bytes, wait_s: float, last: bytes = b"") -> bytes:
        peer.settimeout(wait_s)
        told = b""
        try:
            peer.sendall(sent)
            while chunk := peer.recv(65536):
                told += chunk
                if last and told.endswith(last):
                    break
        except OSError:  # a time out, or hung up while we were sending
            pass
        self._asserted.add("status")
        self.tells_nothing(told.decode("latin-1"))
        return told

    # -- what must hold -----------------------------------------------------------------------------------------------

    def may_change(self, *tables: str) -> None:
        """Say which tables the attacked calls write to by right; the test asserts itself what."""
        self._may_change.update(tables)

    def lawful(self, *, to_the_end: bool = False) -> None:
        """All that was attacked so far stands as it stood; what comes now is the test's own doing.

        to_the_end: no more attacks follow, but calls that are let in, so that the others are known to be refused for
        what they are.
        """
        self._unchanged()
        self._before, self._attacks = None, not to_the_end

    def traced(self, action: str = "", *, outcome: str = "refused", at_least: int = 1, **more: Any) -> list[AuditLog]:
        """There are audit rows of what was tried, of any action when none is named; return them."""
        rows = AuditLog.objects.filter(timestamp__gte=self.began, outcome=outcome, **more)
        found = list(rows.filter(action=action) if action else rows)
        assert len(found) >= at_least, (action, outcome, self.trail())
        self._asserted.add("audit")
        return found

    def kept(self, rows: Any, at_least: int = 1) -> None:
        """What was sent is kept as rows of its own, which are the trace of it."""
        assert rows.count() >= at_least, rows.model
        self._asserted.add("audit")

    def logged(self, line: str) -> None:
        """The trace is a line in a log of the stack, since what refuses writes no row for whoever knocks."""
        found = until(lambda: line in self.stack.logged_since(self._logs), within_s=10)
        assert found
        self._asserted.add("audit")

    def turned_away(self, door: str, *reasons: str) -> None:
        """The trace is one row for each reason and minute of calls refused at this door, and it quotes none of them."""
        rows = AuditLog.objects.filter(timestamp__gte=self.began, outcome="refused", action="refuse_call")
        found = list(rows.filter(resource_id=door).values_list("detail", flat=True))
        assert {detail["reason"] for detail in found} == set(reasons), (door, found)
        assert leaked(repr(found)) == []
        self._asserted.add("audit")

    def untraced(self, why: str) -> None:
        """No place that audits is reached, `why`; it is asserted that there is no row that says it was allowed."""
        assert why
        allowed = AuditLog.objects.filter(timestamp__gte=self.began, outcome="allowed")
        assert not allowed.exists(), self.trail()
        self._asserted.add("audit")

    def trail(self) -> list[tuple[Any, ...]]:
        return list(AuditLog.objects.filter(timestamp__gte=self.began).values_list("action", "outcome", "resource_id"))

    def tells_nothing(self, text: str, *, shows: bool = False) -> None:
        if not shows:
            assert leaked(text) == [], text[:2000]
            assert not (found := TELLTALE.search(text)), found

    def is_broken_by_us(self) -> None:
        """The test itself took something away, so that a traceback in the log is right."""
        self._broken = True

    def is_over(self) -> None:
        """The four things: a status was asserted, rows stand, a trace is there, and logs tell nobody's name."""
        self._http.close()
        assert {"status", "audit"} <= self._asserted, self._asserted
        self._unchanged()
        written = self.stack.logged_since(self._logs)
        assert leaked(written) == []
        assert self._broken or crashes(written) == [], written[-6000:]

    def _look(self) -> None:
        if self._before is None and self._attacks:
            self._before = contents()

    def _unchanged(self) -> None:
        if self._before is None:
            return
        after = contents()
        changed = {name for name in after if after[name] != self._before.get(name)} - self._may_change
        assert not changed, changed


def crashes(written: str) -> list[str]:
    """Return what was raised and not caught by anybody, by the last line of each traceback."""
    return CRASH.findall(written) if "Traceback" in written else []


def leaked(text: str) -> list[str]:
    return [mark for mark in MARKS if mark in text.lower()]


def now() -> datetime:
    """Return the moment by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]
