"""Exports in a bucket of S3; without it a bucket's address would be the one way out that nobody checks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy
from storages.backends.s3 import S3Storage

from integrations import egress

PORTS = {"http": 80, "https": 443}


class Bucket(S3Storage):  # type: ignore[misc]  # the library has no types
    """A bucket that is spoken to where `CARERELAY_EGRESS_ALLOW` lets us connect; else egress.Forbidden, an OSError."""

    @property
    def connection(self) -> Any:
        """The library's own, one for each thread, which asks before each request."""
        is_new = getattr(self._connections, "connection", None) is None
        found = super().connection
        if is_new:
            found.meta.client.meta.events.register_first("before-send.s3", check)
        return found


def check(request: Any, **_: Any) -> None:
    """Raise Forbidden for a request to where nobody may connect; by a proxy for an address alone, as `Http` does."""
    to = urlsplit(request.url)
    host, port = to.hostname or "", to.port or PORTS[to.scheme]
    if select_proxy(request.url, get_environ_proxies(request.url)):
        egress.check_literal(host, port)
    else:
        egress.addresses(host, port)
