"""Hands files to a clearinghouse over its web API; without it a partner that offers no SFTP could not be reached.

The shape is our own, generic one, modelled on the published APIs of Stedi (raw X12 with an Idempotency-Key) and of
Claim.MD (a list of answers, each fetched by itself). A partner with another shape gets a small bridge of this shape:

    POST {base}/interchanges               raw X12; Idempotency-Key, X-File-Name  -> 2xx {"id": "..."}
    GET  {base}/answers                    -> {"files": [{"name": "...", "size": 1, "modified_at": "2026-...Z"}, ...]}
    GET  {base}/answers/{name}             -> the raw file
    POST {base}/answers/{name}/acknowledge -> 2xx, 404 or 410: it is no longer listed

A repeat of a key answers as the first time, with the header "Idempotent-Replayed: true"; the same key with other
content is 422; a key whose first request is still being worked on is 409.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from integrations import http
from integrations.clearinghouse.port import Receipt, RemoteFile, checked_name, is_name, place_of
from integrations.errors import Misconfigured, Transient, Unknown

PARTNER = "https"
TIMEOUT_S = (5.0, 60.0)
X12 = "application/edi-x12"  # RFC 1767
GONE = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class Api:
    """Where a partner's API is, and the header that tells who we are, as "Authorization" with "Key ...".

    Raises:
        ValueError: not https, where the key would be read on its way; http is for servers on this machine.
    """

    base_url: str
    key_header: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if not parts.hostname or (
            parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname))
        ):
            raise ValueError("a clearinghouse's API must begin with https://")


class HttpsClearinghouse:
    """See `Direct`."""

    def __init__(self, api: Api, *, timeout_s: tuple[float, float] = TIMEOUT_S) -> None:
        self._api = api
        self._base = api.base_url.rstrip("/")
        self._http = http.Http(partner=PARTNER, timeout_s=timeout_s)

    def place(self) -> str:
        return place_of(PARTNER, self._base)

    def send(self, name: str, content: bytes, idempotency_key: str) -> Receipt:
        headers = {
            "Content-Type": X12,
            "Idempotency-Key": idempotency_key,
            "X-File-Name": quote(checked_name(name, partner=PARTNER)),
        }
        answer = self._ask("POST", "/interchanges", headers=headers, body=content)
        if answer.body.lstrip()[:1] == b"<":  # a page: a login, or a proxy that answers in the partner's place
            raise Unknown("answered by a page, which is no receipt", code=f"{PARTNER}:receipt")
        reference = _object(answer.body).get("id")
        return Receipt(
            reference=reference if isinstance(reference, str) else "",
            repeated=answer.headers.get("Idempotent-Replayed", "").lower() == "true",
        )

    def listing(self) -> Sequence[RemoteFile]:
        """See `Door.listing`; the size is the partner's word, 0 where it says none."""
        files = _object(self._ask("GET", "/answers").body).get("files")
        if not isinstance(files, list):
            raise _unreadable()
        listed = [file for file in map(_remote, files) if file is not None]
        if files and not listed:
            raise _unreadable()
        return sorted((file for file in listed if is_name(file.name)), key=lambda file: (file.modified_at, file.name))

    def fetch(self, name: str, most_bytes: int) -> bytes:
        answer = self._ask("GET", f"/answers/{_quoted(name)}", may_be_gone=True, most_bytes=most_bytes)
        if answer.status in GONE:
            raise Transient("gone since it was listed", code=f"{PARTNER}:gone")
        return answer.body

    def acknowledge(self, name: str) -> None:
        self._ask("POST", f"/answers/{_quoted(name)}/acknowledge", body=b"", may_be_gone=True)

    def remove(self, name: str) -> None:
        self.acknowledge(name)

    def probe(self) -> None:
        self.listing()

    def close(self) -> None:
        """Connections are kept by the caller of HTTP, and end by themselves."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        may_be_gone: bool = False,
        most_bytes: int | None = None,
    ) -> http.Answer:
        """Send once and return the 2xx answer; raises as `Http.send`, but for a login and for a key at work."""
        whole = {**(headers or {}), self._api.key_header: self._api.key}
        answer = self._http.exchange(method, f"{self._base}{path}", headers=whole, body=body, most_bytes=most_bytes)
        if 200 <= answer.status < 300 or (may_be_gone and answer.status in GONE):
            return answer
        code = f"{PARTNER}:http-{answer.status}"
        if answer.status in (401, 403):
            raise Misconfigured("our key is not accepted", code=code)
        if answer.status == 409 and method == "POST":
            raise Unknown("an earlier request with this key may have been taken", code=code)
        raise http.refused(answer.status, answer.headers, partner=PARTNER, method=method)


def _quoted(name: str) -> str:
    return quote(checked_name(name, partner=PARTNER), safe="")


def _object(body: bytes) -> dict[str, Any]:
    """Return an answer that must be a JSON object; what a receipt says beside its status is never worth a refusal."""
    try:
        told = json.loads(body or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _remote(entry: Any) -> RemoteFile | None:
    """Return one file of a list; None: an entry that cannot be read, which must not hide the others."""
    try:
        at = datetime.fromisoformat(entry["modified_at"])
        return RemoteFile(str(entry["name"]), int(entry.get("size") or 0), at if at.tzinfo else at.replace(tzinfo=UTC))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _unreadable() -> Transient:
    return Transient("a list of answers that cannot be read", code=f"{PARTNER}:listing")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
