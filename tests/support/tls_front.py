"""TLS before the embedded servers, which are built without it; without it nothing could show how our clients verify.

Clients are the real ones (libpq, redis-py, kombu); only the server's end of TLS is ours.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from pathlib import Path

from tests.support.proxy import Proxy
from workers.cli.certificates import Pair

SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL 18 documentation, 54.2.11 SSL Session Encryption
NO_ENTRY = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for this host, no encryption\0\0"


class TlsFront(Proxy):
    """Speaks TLS to clients and passes what they say on in plain text; what is not TLS is refused.

    asks_first: whether a client asks for TLS as PostgreSQL's do; other servers begin with it.
    """

    def __init__(self, target: tuple[str, int], folder: Path, pair: Pair, *, asks_first: bool) -> None:
        super().__init__(target)
        self._asks_first = asks_first
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name, text in zip(("front.crt", "front.key"), pair, strict=True):
            (folder / name).write_text(text)
        self._context.load_cert_chain(folder / "front.crt", folder / "front.key")

    def _join(self, client: socket.socket) -> None:
        client.settimeout(10)
        if self._asks_first:
            if client.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
                client.sendall(b"E" + struct.pack("!i", len(NO_ENTRY) + 4) + NO_ENTRY)
                return client.close()
            client.sendall(b"S")
        with contextlib.suppress(ssl.SSLError):
            secured = self._context.wrap_socket(client, server_side=True)
            secured.settimeout(None)
            return super()._join(secured)
        return client.close()
