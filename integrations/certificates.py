"""Tells when certificates end; without it that would be noticed when nothing connects any more."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

WAIT_S = 5.0
PLEASE = (8).to_bytes(4) + (80877103).to_bytes(4)  # SSLRequest: PostgreSQL's protocol 3.0, message formats


def ends_of_file(path: str | Path) -> list[datetime]:
    """Return when the certificates in a PEM file end, one for each name in their order: the server's own is the first.

    Of several of one name the latest counts, for an old authority stays beside the new one for a while.

    Raises:
        OSError: it cannot be read.
        ValueError: there is no certificate in it.
    """
    found = dict[bytes, datetime]()
    for one in x509.load_pem_x509_certificates(Path(path).read_bytes()):
        name, end = one.subject.public_bytes(), one.not_valid_after_utc
        found[name] = max(end, found.get(name, end))
    return [*found.values()]


def end_of_peer(host: str, port: int, *, is_postgres: bool = False) -> datetime | None:
    """Return when the certificate ends that a server shows; None where it speaks no TLS. Nothing is told to it.

    is_postgres: it has to be asked for TLS first.

    Raises:
        OSError: it was not reached, or is not what it should be.
    """
    with socket.create_connection((host, port), timeout=WAIT_S) as plain:
        if is_postgres:
            plain.sendall(PLEASE)
            if plain.recv(1) != b"S":
                return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Nothing is told to whoever answers, and one that has ended is to be seen too.
        context.check_hostname = False  # nosemgrep: unchecked-tls  # as said above
        context.verify_mode = ssl.CERT_NONE  # nosemgrep: unchecked-tls  # as said above
        with context.wrap_socket(plain, server_hostname=host) as link:
            shown = link.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(shown).not_valid_after_utc if shown else None
