"""Tells of certificates that end soon; without it the day one ends a laboratory or the database would be away.

Of a laboratory's own it is known when it ends from its last messages: the listener notes that at its feed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from backend.apps.laboratory.models import LabFeed
from integrations.certificates import end_of_peer, ends_of_file
from workers.beats import beating
from workers.celery_app import app

KIND = "certificate_ends"
TIERS = (30, 14, 3)  # days before the end; at each whoever is on call is told again
FILES = (  # variable, how it is called, whether it vouches for others
    ("CARERELAY_MLLP_CERTIFICATE", "of MLLP", False),
    ("CARERELAY_MLLP_CLIENT_CA", "of the authority of laboratories at MLLP", True),
    ("CARERELAY_LAB_ORDERS_CERTIFICATE", "we show to laboratories with our orders", False),
    ("CARERELAY_LAB_ORDERS_CA", "of the authority of laboratories that get our orders", True),
)
MOST_OF_PARTNERS = 20  # authorities in a file; one of more is a list for everybody, of which some always end
SENTENCE = (
    "The certificate {} {} on {:%Y-%m-%d}{}; then nothing connects by it any more. Renew it (those of Compose by "
    "`./carerelay secrets`), or take it out of its file if nobody needs it, and start anew."
)
OF_A_FEED = (
    "{} shows MLLP a certificate that {} on {:%Y-%m-%d}{}; then nothing comes from it any more. Give it a new one "
    "(`./carerelay secrets --laboratory NAME`), or let it renew its own."
)
Look = Callable[[], datetime | None]


class Seen(NamedTuple):
    """A certificate, and when it ends if that could be learned now. sentence: how that is told; feed: whose it is."""

    called: str
    ends_at: datetime | None
    sentence: str = SENTENCE
    feed: LabFeed | None = None

    @property
    def cause(self) -> str:
        return f"certificate ends:{f'feed {self.feed.pk}' if self.feed else self.called}"


log = logging.getLogger(__name__)


@app.task(name="sweep.certificates")  # type: ignore[untyped-decorator]  # Celery has no types
def look() -> str:
    """Look at each certificate we know of; safe to run twice, for an alert stands once."""
    with beating("certificates that end"):
        seen = [*(Seen(called, _end(called, end_of)) for called, end_of in watched()), *_of_laboratories()]
        soon = [_is_told(one, one.ends_at, timezone.now()) for one in seen if one.ends_at]
        alerts.clear(*alerts.open_causes(KIND) - {one.cause for one in seen})  # of what is used no more
    return f"{sum(soon)} of {len(soon)} end soon"


def watched() -> Iterator[tuple[str, Look]]:
    """Yield how each certificate is called and what tells its end."""
    for variable, called, are_authorities in FILES:
        if path := os.environ.get(variable):
            yield called, partial(_first if are_authorities else _own, path)
    door = urlsplit(settings.PUBLIC_BASE_URL)
    if door.scheme == "https" and door.hostname:  # of the proxy before web
        yield "of the address patients and staff reach us at", partial(end_of_peer, door.hostname, door.port or 443)
    database = settings.DATABASES["default"]
    yield from _of_database(database, database.get("OPTIONS", {}))
    links = {settings.CELERY_BROKER_URL: "of the broker", settings.REDIS_URL: "of Redis"}  # mostly one
    for url, called in links.items():
        for number, one in enumerate(url.split(";"), start=1):
            yield from _of_redis(one, called if number == 1 else f"{called}, the {number}. address")


def _of_database(database: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[tuple[str, Look]]:
    host = str(database.get("HOST") or options.get("host") or os.environ.get("PGHOST") or "")
    if host and not host.startswith(("/", "@")) and options.get("sslmode") != "disable":
        port = str(database.get("PORT") or options.get("port") or os.environ.get("PGPORT") or 5432)
        at = host.partition(",")[0], int(port.partition(",")[0])  # of several the first
        yield "of PostgreSQL", partial(end_of_peer, *at, is_postgres=True)
    root = options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if root and root != "system":
        yield "of the authority of PostgreSQL", partial(_last, root)


def _of_redis(url: str, called: str) -> Iterator[tuple[str, Look]]:
    at = urlsplit(url)
    if at.scheme != "rediss":
        return
    if at.hostname:
        yield called, partial(end_of_peer, at.hostname, at.port or 6379)
    if root := parse_qs(at.query).get("ssl_ca_certs", [""])[0]:
        yield f"of the authority {called}", partial(_last, root)


def _own(path: str) -> datetime:
    return ends_of_file(path)[0]


def _first(path: str) -> datetime:
    """Return when the first of those ends who vouch for partners, each for other ones."""
    ends = ends_of_file(path)
    return min(ends) if len(ends) <= MOST_OF_PARTNERS else max(ends)


def _last(path: str) -> datetime:
    """Return when the last of those ends of whom any may vouch for one server; its own certificate is watched too."""
    return max(ends_of_file(path))


def _of_laboratories() -> Iterator[Seen]:
    """Yield what feeds showed with their last messages, as the listener notes it."""
    for feed in LabFeed.objects.filter(is_active=True, certificate_ends_at__isnull=False):
        yield Seen(feed.name[:100], feed.certificate_ends_at, OF_A_FEED, feed)


def _end(called: str, end_of: Look) -> datetime | None:
    """Return when a certificate ends; None where that cannot be learned now, which others tell of."""
    try:
        return end_of()
    except (OSError, ValueError) as error:
        log.warning("the certificate %s could not be looked at: %s", called, type(error).__name__)
        return None


def _is_told(seen: Seen, end: datetime, now: datetime) -> bool:
    """Tell of a certificate if it ends soon, and again as that comes near, else of it no more."""
    tier = min((days for days in TIERS if (end - now).total_seconds() <= days * 86_400), default=None)
    if tier is None:
        alerts.clear(seen.cause)
        return False
    near = ("ended", "") if end < now else ("ends", f", in {tier} days at most")
    sentence = seen.sentence.format(seen.called, near[0], end, near[1])
    standing = Alert.objects.filter(cause=seen.cause, resolved_at=None).first()
    severity = Alert.Severity.CRITICAL if tier == TIERS[-1] else Alert.Severity.WARNING
    is_nearer = standing is not None and standing.sentence != sentence
    alerts.open_once(
        seen.cause, kind=KIND, severity=severity, sentence=sentence, subject=seen.feed, has_grown=is_nearer
    )
    return True
