"""One way to call a partner over HTTP; without it each client would choose its own timeouts, retries and exceptions."""

from __future__ import annotations

import base64
import ipaddress
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, InvalidURL
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import certifi
from requests.utils import get_environ_proxies, select_proxy

from integrations import egress
from integrations.deadlines import TimelyResponse
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown

TIMEOUT_S = (3.05, 10.0)  # to connect, to get a whole answer
IDLE_S = 20.0  # partners close what is idle for longer: 60 s is common, less is not rare
LONGEST_WAIT_S = 86_400.0
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
NOT_A_REQUEST = (ValueError, InvalidURL)  # raised before a byte left: a wrong URL or header
LOST = (OSError, HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a partner said, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Line:
    """An open connection, and what its requests need beside their own headers."""

    connection: HTTPConnection
    prefix: str  # a proxy for plain HTTP wants whole URLs: this stands before each path
    headers: Mapping[str, str]
    used_at_s: float = 0.0


class Http:
    """Calls partners over one kept connection a host; one instance per thread.

    Nothing is repeated and no redirect followed. Proxies and authorities come from the environment, by the rules of
    `requests`. partner: names it in error codes, as "clearinghouse". timeout_s: to connect, to get a whole answer.
    """

    def __init__(self, *, partner: str, timeout_s: tuple[float, float] = TIMEOUT_S) -> None:
        self.partner = partner
        self._timeout_s = timeout_s
        self._lines: dict[tuple[str, str], Line] = {}
        self._tls: ssl.SSLContext | None = None

    def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send once and return the 2xx answer.

        Raises:
            Transient: never reached, 429 or 503; any lost answer to a request that only reads.
            Permanent: every other refusal, a redirect included.
            Unknown: sent without an answer, or another 5xx: the partner may have acted.
        """
        answer = self.exchange(method, url, headers=headers, body=body)
        if not 200 <= answer.status < 300:
            raise refused(answer.status, answer.headers, partner=self.partner, method=method)
        return answer

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        most_bytes: int | None = None,
    ) -> Answer:
        """Send once and return the answer whatever its status; raises as `send` does when none came.

        most_bytes: of the answer's body; a longer one is Permanent, code "...:too_big", and is not read.

        A connection leaves the pool for the length of a call, so that one which broke off half way is never used again.
        """
        parts = _split(url, self.partner)
        key = (parts.scheme, parts.netloc)
        line = self._kept(key) or self._open(parts)
        try:
            target = f"{line.prefix}{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            raw = self._once(line, method, target, {**headers, **line.headers}, body)
            answer = Answer(raw.status, cast("Mapping[str, str]", raw.headers), self._body(raw, method, most_bytes))
        except BaseException:
            line.connection.close()
            raise
        if line.connection.sock is not None:  # the partner did not close it
            line.used_at_s = time.monotonic()
            self._lines[key] = line
        return answer

    def _once(
        self, line: Line, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> HTTPResponse:
        try:
            line.connection.request(method, target, body, headers)
        except NOT_A_REQUEST:
            raise Permanent("not a request that can be sent", code=f"{self.partner}:request") from None
        except LOST:  # its last byte never left, so nobody can have acted on it
            raise Transient("not sent to its end", code=f"{self.partner}:unsent") from None
        try:
            return line.connection.getresponse()
        except LOST:
            raise unanswered(self.partner, method) from None

    def _body(self, raw: HTTPResponse, method: str, most: int | None) -> bytes:
        """Read an answer to its end; one that is too long is not read, or where it tells no length a byte too far."""
        try:
            if raw.length is not None:
                body = b"" if most is not None and raw.length > most else raw.read()
            else:
                body = raw.read() if most is None else raw.read(most + 1)
        except LOST:
            raise unanswered(self.partner, method) from None
        if most is not None and max(len(body), raw.length or 0) > most:
            raise Permanent(f"an answer of more than {most} bytes", code=f"{self.partner}:too_big")
        return body

    def _kept(self, key: tuple[str, str]) -> Line | None:
        """Return the open connection to a host unless it is gone or near the age at which partners hang up."""
        line = self._lines.pop(key, None)
        if line is None:
            return None
        if time.monotonic() - line.used_at_s < IDLE_S and not has_ended(line.connection.sock):
            return line
        line.connection.close()
        return None

    def _open(self, parts: SplitResult) -> Line:
        try:
            line = self._line(parts)
            line.connection.connect()
        except ssl.SSLError:  # a ValueError too, when it is about a certificate
            raise self._unreached() from None
        except egress.Forbidden as error:
            raise Misconfigured(str(error), code=f"{self.partner}:egress") from None
        except NOT_A_REQUEST:
            raise Permanent("not a request that can be sent", code=f"{self.partner}:request") from None
        except LOST:
            raise self._unreached() from None
        line.connection.sock.settimeout(self._timeout_s[1])
        return line

    def _unreached(self) -> Transient:
        return Transient("not reached", code=f"{self.partner}:unreached")

    def _line(self, parts: SplitResult) -> Line:
        """Return how to reach a host, straight or by the proxy the environment names for it."""
        secure = parts.scheme == "https"
        url = f"{parts.scheme}://{parts.netloc}/"
        proxy_url = select_proxy(url, get_environ_proxies(url))
        if not proxy_url:
            connection = self._connection(parts, secure=secure)
            connection._create_connection = egress.connected  # type: ignore[attr-defined]  # the library's own seam
            return Line(connection, "", {})
        egress.check_literal(parts.hostname or "", parts.port or (443 if secure else 80))
        try:
            proxy = _proxy(proxy_url)
            connection, own = self._connection(proxy, secure=secure), _proxy_headers(proxy)
        except NOT_A_REQUEST:
            raise Misconfigured("the proxy is none that speaks plain HTTP", code=f"{self.partner}:proxy") from None
        if not secure:
            return Line(connection, url.rstrip("/"), own)
        connection.set_tunnel(parts.hostname or "", parts.port or 443, headers=own)
        return Line(connection, "", {})

    def _connection(self, to: SplitResult, *, secure: bool) -> HTTPConnection:
        """Return an unopened connection to the host of `to`; secure: TLS is spoken over it, to whoever is behind."""
        host, port, wait_s = to.hostname or "", to.port or (443 if to.scheme == "https" else 80), self._timeout_s[0]
        connection: HTTPConnection
        if secure:
            self._tls = self._tls or tls_context(self.partner)
            connection = HTTPSConnection(host, port, timeout=wait_s, context=self._tls)
        else:
            connection = HTTPConnection(host, port, timeout=wait_s)
        connection.response_class = TimelyResponse
        return connection


def _split(url: str, partner: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = None
    if not known:
        raise Permanent("not a request that can be sent", code=f"{partner}:request")
    return parts


def _proxy(url: str) -> SplitResult:
    """Return the parts of a proxy's URL. Raises ValueError: none that speaks plain HTTP."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:
        raise ValueError("not a proxy that speaks plain HTTP")
    return parts


def has_ended(sock: socket.socket) -> bool:
    """Tell whether the partner hung up, or said something nobody asked for, since the last answer."""
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(0))


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    return {"Proxy-Authorization": basic_auth(unquote(proxy.username), unquote(proxy.password or ""))}


def basic_auth(user: str, password: str) -> str:
    """Return the value of an Authorization header. Source: RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def tls_context(partner: str) -> ssl.SSLContext:
    """Return how partners are checked: by the bundle the environment names, else by certifi's."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
    where = {"capath" if os.path.isdir(bundle) else "cafile": bundle}
    try:
        return ssl.create_default_context(**where)  # type: ignore[arg-type]  # one key of two
    except OSError:
        raise Misconfigured("the bundle of certificates cannot be read", code=f"{partner}:certificates") from None


def unanswered(partner: str, method: str) -> IntegrationError:
    """Return what it means that a request went out and no answer came."""
    if method.upper() in SAFE:
        return Transient("no answer", code=f"{partner}:unanswered")
    return Unknown("sent, but no answer came", code=f"{partner}:unanswered")


def refused(status: int, headers: Mapping[str, str], *, partner: str, method: str) -> IntegrationError:
    """Return what an answer outside 2xx means."""
    code = f"{partner}:http-{status}"
    if status in (429, 503):
        return Transient(f"HTTP {status}", code=code, retry_after_s=retry_after_s(headers, now=datetime.now(UTC)))
    if status == 407:
        return Misconfigured("the proxy wants a login", code=code)
    if method.upper() in SAFE and (status >= 500 or status in (408, 425)):
        return Transient(f"HTTP {status}", code=code)
    if status < 500:
        return Permanent(f"HTTP {status}", code=code)
    return Unknown(f"HTTP {status}", code=code)


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the seconds a Retry-After header asks for, at most a day; None when it says nothing usable.

    Source: RFC 9110, section 10.2.3.
    """
    text = (headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_WAIT_S)


def checked_base_url(url: str, *, allow_any_host: bool) -> str:
    """Return `url` without its last slash; it replaces a partner's own address, so only this machine may be named.

    Raises:
        ValueError: not an http(s) URL, or another machine and `allow_any_host` is off.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a partner's base URL must begin with http:// or https://")
    if not allow_any_host and not _is_loopback(parts.hostname):
        raise ValueError("a partner's base URL may only be replaced by a server on this machine")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
