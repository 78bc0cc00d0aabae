"""Exports in a bucket of S3; without it a bucket's address would be the one way out that nobody checks."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from requests.utils import get_environ_proxies, select_proxy
from storages.backends.s3 import S3Storage
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from integrations import egress

PORTS = {"http": 80, "https": 443}
CONNECT_S = 60.0  # where the library has no limit of its own


class Bucket(S3Storage):  # type: ignore[misc]  # the library has no types
    """A bucket that is spoken to where `CARERELAY_EGRESS_ALLOW` lets us connect; else egress.Forbidden, an OSError."""

    @property
    def connection(self) -> Any:
        """The library's own, one for each thread, which asks before each request and connects to a checked address."""
        is_new = getattr(self._connections, "connection", None) is None
        found = super().connection
        if is_new:
            client = found.meta.client
            client.meta.events.register_first("before-send.s3", check)
            client._endpoint.http_session._manager.pool_classes_by_scheme = POOLS  # of a proxy's it keeps its own
        return found


def check(request: Any, **_: Any) -> None:
    """Raise Forbidden for a request to where nobody may connect; by a proxy for an address alone, as `Http` does."""
    to = urlsplit(request.url)
    host, port = to.hostname or "", to.port or PORTS[to.scheme]
    if select_proxy(request.url, get_environ_proxies(request.url)):
        egress.check_literal(host, port)
    else:
        egress.addresses(host, port)


class _Checked:
    """A connection of the library's to one of the checked addresses: after `check` the name may mean another one."""

    def _new_conn(self: Any) -> socket.socket:
        wait_s = self.timeout if isinstance(self.timeout, int | float) else CONNECT_S
        try:
            sock = egress.connected((self._dns_host, self.port), wait_s, self.source_address)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "not connected in time") from error
        except OSError as error:
            raise NewConnectionError(self, type(error).__name__) from error
        for option in self.socket_options or ():
            sock.setsockopt(*option)
        return sock


class _Plain(_Checked, AWSHTTPConnection):  # type: ignore[misc]  # nor this one
    pass


class _Secure(_Checked, AWSHTTPSConnection):  # type: ignore[misc]  # nor this one
    pass


class _PlainPool(AWSHTTPConnectionPool):  # type: ignore[misc]  # nor this one
    ConnectionCls = _Plain


class _SecurePool(AWSHTTPSConnectionPool):  # type: ignore[misc]  # nor this one
    ConnectionCls = _Secure


POOLS = {"http": _PlainPool, "https": _SecurePool}
