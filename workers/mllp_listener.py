"""The door for lab feeds: frames, stores, commits, and only then acknowledges. Its own process, asyncio.

Many connections share one commit: the writer takes everything that arrived during the last one. When the database is
away the writer keeps trying and the listener stops reading: it neither refuses nor acknowledges. Several listeners may
stand side by side on one port.
"""

from __future__ import annotations

import argparse
import logging.config
import os
import resource
import ssl
import sys

import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")

from django.conf import settings  # needs the line above

from backend.config import production  # kept together with the line above
from workers.mllp.limits import Limits  # kept together with the line above
from workers.mllp.listener import Address, Listener  # kept together with the line above

SPARE_FILES = 100  # database, log, event loop, connections that are being refused
CHOSEN = {
    "connections": "at most so many at a time",
    "per_address": "at most so many of one address",
    "message": "bytes of the longest message",
    "in_flight": "bytes of all messages that have begun or wait for their answer",
    "idle_s": "seconds without a message before a connection is ended",
    "frame_s": "seconds a message may take to arrive",
    "blocked_s": "seconds a peer may leave its answers unread",
    "filing_s": "seconds an answer waits for the filing, where the feed wants that, before it is AE",
    "refresh_s": "seconds until a changed feed counts",
}


def raise_file_limit(connections: int) -> None:
    """Let the process have as many sockets as connections; where the system forbids that, as many as it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


async def main(options: argparse.Namespace, tls: ssl.SSLContext | None) -> int:
    addresses: list[Address] = [(options.host, options.port, None)] if speaks_plain() else []
    if tls is not None:
        addresses.append((options.host, options.tls_port, tls))
    admitted = frozenset(filter(None, map(str.strip, options.client_names.split(","))))
    return await Listener(Limits(**{name: getattr(options, name) for name in CHOSEN}), admitted).run(addresses)


def speaks_plain() -> bool:
    """Tell whether the port without TLS is opened: in production only where an operator said so."""
    return not settings.IN_PRODUCTION or "mllp" in production.plain()


def given(options: argparse.Namespace) -> dict[str, str]:
    """Return the environment as the command line has it."""
    tls = {f"CARERELAY_MLLP_{name.upper()}": getattr(options, name) for name in ("certificate", "key", "client_ca")}
    return {**os.environ, **tls, "CARERELAY_BIND": options.host}


def tls_context(certificate: str, key: str, client_ca: str | None) -> ssl.SSLContext:
    """Return a server context for TLS 1.2 and later; with `client_ca` only peers with its certificates may speak."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def arguments() -> argparse.Namespace:
    """Return what the command line says, else the environment, else the defaults."""
    parser = argparse.ArgumentParser(prog="mllp_listener", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2575)
    parser.add_argument("--tls-port", type=int, default=2576)
    for name in ("certificate", "key", "client_ca", "client_names"):
        parser.add_argument(f"--{name.replace('_', '-')}", default=os.environ.get(f"CARERELAY_MLLP_{name.upper()}", ""))
    for name, words in CHOSEN.items():
        usual = getattr(Limits(), name)
        found = os.environ.get(f"CARERELAY_MLLP_{name.upper()}") or usual
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(usual), default=found, help=f"{words} (default {usual:g})")
    return parser.parse_args()


if __name__ == "__main__":
    logging.config.dictConfig(settings.LOGGING)
    chosen = arguments()
    production.insist("mllp", given(chosen))
    raise_file_limit(chosen.connections)
    context = tls_context(chosen.certificate, chosen.key, chosen.client_ca) if chosen.certificate else None
    sys.exit(uvloop.run(main(chosen, context)))
