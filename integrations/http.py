"""One way to call a partner over HTTP; without it each client would choose its own timeouts, retries and exceptions."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from integrations.errors import IntegrationError, Permanent, Transient, Unknown

TIMEOUT_S = (3.05, 10.0)  # to connect, to wait for each answer
LONGEST_WAIT_S = 86_400.0
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
NEVER_SENT = (exceptions.ConnectTimeout, exceptions.ProxyError, exceptions.SSLError)
NOT_A_REQUEST = (exceptions.InvalidURL, exceptions.MissingSchema, exceptions.InvalidSchema, exceptions.InvalidHeader)


def session(*, pool: int = 8) -> requests.Session:
    """Return a session that keeps up to `pool` connections a host and never repeats a request by itself."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(pool_maxsize=pool, max_retries=0))
    return made


def send(
    using: requests.Session,
    request: requests.Request,
    *,
    partner: str,
    timeout_s: tuple[float, float] = TIMEOUT_S,
) -> requests.Response:
    """Send once and return the 2xx answer.

    partner: names it in error codes, as "clearinghouse".

    Raises:
        Transient: never reached, 429 or 503; any lost answer to a request that only reads.
        Permanent: every other refusal, a redirect included.
        Unknown: sent without an answer, or another 5xx: the partner may have acted.
    """
    try:
        prepared = using.prepare_request(request)
        environment = using.merge_environment_settings(prepared.url or "", {}, None, None, None)
        answer = using.send(prepared, timeout=timeout_s, allow_redirects=False, **environment)
    except exceptions.RequestException as error:
        raise unanswered(error, partner=partner, method=request.method or "") from None
    if not 200 <= answer.status_code < 300:
        raise refused(answer.status_code, answer.headers, partner=partner, method=request.method or "")
    return answer


def unanswered(error: exceptions.RequestException, *, partner: str, method: str) -> IntegrationError:
    """Return what it means that no answer came. The library's text holds the URL, so it is not kept."""
    if isinstance(error, NOT_A_REQUEST):
        return Permanent("not a request that can be sent", code=f"{partner}:request")
    if isinstance(error, NEVER_SENT) or _refused_connection(error):
        return Transient("not reached", code=f"{partner}:unreached")
    if method.upper() in SAFE:
        return Transient("no answer", code=f"{partner}:unanswered")
    return Unknown("sent, but no answer came", code=f"{partner}:unanswered")


def _refused_connection(error: exceptions.RequestException) -> bool:
    """Tell whether the connection could not even be opened: urllib3 wraps the cause in its own exception."""
    return any(isinstance(getattr(cause, "reason", cause), NewConnectionError) for cause in error.args)


def refused(status: int, headers: Mapping[str, str], *, partner: str, method: str) -> IntegrationError:
    """Return what an answer outside 2xx means."""
    code = f"{partner}:http-{status}"
    if status in (429, 503):
        return Transient(f"HTTP {status}", code=code, retry_after_s=retry_after_s(headers, now=datetime.now(UTC)))
    if status < 500:
        return Permanent(f"HTTP {status}", code=code)
    if method.upper() in SAFE:
        return Transient(f"HTTP {status}", code=code)
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
