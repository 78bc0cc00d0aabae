"""The feeds as the door knows them, in memory; without it every message that arrives would cost a query."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

COLUMNS = (
    "id", "sending_application", "sending_facility", "versions::text", "processing_ids", "ack_mode", "adt_policy",
    "takes_unknown_types", "allowed_networks::text", "allowed_certificates::text",
)  # fmt: skip
KEPT = "laboratory_labfeed WHERE is_active AND NOT is_deleted ORDER BY id"
QUERY = f"SELECT {', '.join(COLUMNS)} FROM {KEPT}"  # noqa: S608  # our own names only
MOST_SENDERS = 10_000  # remembered; a stranger invents names for nothing ...
LONGEST_NAME = 250  # ... and long ones


@dataclass(frozen=True, slots=True)
class Feed:
    """What of a `LabFeed` decides how a message is answered. `key` is its id as 16 bytes."""

    key: bytes
    application: str = ""
    facility: str = ""
    versions: frozenset[str] = frozenset()
    processing_ids: str = "P"
    ack_mode: str = "as_asked"
    takes_adt: bool = False
    takes_unknown_types: bool = False
    networks: tuple[Network, ...] = ()
    certificates: frozenset[str] = frozenset()

    def lets_in(self, peer: str, certificate: str) -> bool:
        """Tell whether this feed may come from that address with that certificate (SHA-256, empty without one)."""
        if self.certificates and certificate not in self.certificates:
            return False
        return not self.networks or _within(peer, self.networks)

    def closeness(self, application: str, facility: str, part: str) -> int:
        """Return how closely this feed fits a sender, -1 for not at all; the application counts before the facility."""
        first, second = _fit(self.application, application, part), _fit(self.facility, facility, part)
        return -1 if first < 0 or second < 0 else 3 * first + second


class Book:
    """All active feeds; finds the one that fits a sender most closely."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._feeds = tuple(feeds)
        self._known: dict[tuple[str, str, str], Feed | None] = {}

    def of(self, application: str, facility: str, part: str = "^") -> Feed | None:
        """Return the feed of a sender (MSH-3 and MSH-4 as sent, `part` the component separator), None for nobody's."""
        sender = (application, facility, part)
        if sender not in self._known:
            if max(len(application), len(facility)) > LONGEST_NAME:
                return self._closest(*sender)
            if len(self._known) >= MOST_SENDERS:
                self._known.clear()
            self._known[sender] = self._closest(*sender)
        return self._known[sender]

    def _closest(self, application: str, facility: str, part: str) -> Feed | None:
        fits = [(feed.closeness(application, facility, part), feed) for feed in self._feeds]
        closest, found = max(fits, key=lambda fit: fit[0], default=(-1, None))
        return found if closest >= 0 else None


def book_of(rows: Sequence[Sequence[Any]]) -> Book:
    """Return the book of what `QUERY` found."""
    return Book(map(_feed, rows))


def _feed(row: Sequence[Any]) -> Feed:
    key, application, facility, versions, processing_ids, ack_mode, adt_policy, unknown, networks, certificates = row
    return Feed(
        key=key.bytes,
        application=application,
        facility=facility,
        versions=frozenset(json.loads(versions)),
        processing_ids=processing_ids,
        ack_mode=ack_mode,
        takes_adt=adt_policy != "off",
        takes_unknown_types=unknown,
        networks=tuple(ipaddress.ip_network(network) for network in json.loads(networks)),
        certificates=frozenset(json.loads(certificates)),
    )


def _fit(wanted: str, sent: str, part: str) -> int:
    """Return 2 for the same whole field, 1 for its first component, 0 where any will do, -1 for another."""
    if not wanted:
        return 0
    if wanted == sent:
        return 2
    return 1 if wanted == sent.partition(part)[0].strip() else -1


def _within(peer: str, networks: Iterable[Network]) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
