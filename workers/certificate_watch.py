"""Tells of certificates that end soon; without it the day one ends a laboratory or the database would be away."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert
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
Look = Callable[[], datetime | None]

log = logging.getLogger(__name__)


@app.task(name="sweep.certificates")  # type: ignore[untyped-decorator]  # Celery has no types
def look() -> str:
    """Look at each certificate we know of; safe to run twice, for an alert stands once."""
    with beating("certificates that end"):
        now, soon, looked, known = timezone.now(), 0, 0, set[str]()
        for called, end_of in watched():
            known.add(_cause(called))
            end = _end(called, end_of)
            if end is None:
                continue
            looked += 1
            if (tier := _tier(end, now)) is not None:
                soon += 1
                _tell(called, end, tier, now)
            else:
                alerts.clear(_cause(called))
        alerts.clear(*alerts.open_causes(KIND) - known)  # of what is used no more
    return f"{soon} of {looked} end soon"


def watched() -> Iterator[tuple[str, Look]]:
    """Yield how each certificate is called and what tells its end."""
    for variable, called, are_authorities in FILES:
        if path := os.environ.get(variable):
            yield called, partial(_first if are_authorities else _own, path)
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


def _end(called: str, end_of: Look) -> datetime | None:
    """Return when a certificate ends; None where that cannot be learned now, which others tell of."""
    try:
        return end_of()
    except (OSError, ValueError) as error:
        log.warning("the certificate %s could not be looked at: %s", called, type(error).__name__)
        return None


def _tell(called: str, end: datetime, tier: int, now: datetime) -> None:
    near = ("ended", "") if end < now else ("ends", f", in {tier} days at most")
    sentence = SENTENCE.format(called, near[0], end, near[1])
    standing = Alert.objects.filter(cause=_cause(called), resolved_at=None).first()
    severity = Alert.Severity.CRITICAL if tier == TIERS[-1] else Alert.Severity.WARNING
    is_nearer = standing is not None and standing.sentence != sentence
    alerts.open_once(_cause(called), kind=KIND, severity=severity, sentence=sentence, has_grown=is_nearer)


def _cause(called: str) -> str:
    return f"certificate ends:{called}"


def _tier(end: datetime, now: datetime) -> int | None:
    left = (end - now).total_seconds() / 86_400
    return min((days for days in TIERS if left <= days), default=None)
