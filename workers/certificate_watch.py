"""Tells of certificates that end soon; without it the day one ends a laboratory or the database would be away."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert
from integrations.certificates import end_of_file, end_of_peer
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
SENTENCE = (
    "The certificate {} {} on {:%Y-%m-%d}{}; then nothing connects by it any more. Renew it where it comes from (those "
    "of Compose by `./carerelay secrets`) and start anew."
)
Look = Callable[[], datetime | None]

log = logging.getLogger(__name__)


@app.task(name="sweep.certificates")  # type: ignore[untyped-decorator]  # Celery has no types
def look() -> str:
    """Look at each certificate we know of; safe to run twice, for an alert stands once."""
    with beating("certificates that end"):
        now, soon, looked = timezone.now(), 0, set[str]()
        for called, end_of in watched():
            end = _end(called, end_of)
            if end is None:
                continue
            looked.add(_cause(called))
            if (tier := _tier(end, now)) is not None:
                soon += 1
                _tell(called, end, tier, now)
            else:
                alerts.clear(_cause(called))
    return f"{soon} of {len(looked)} end soon"


def watched() -> Iterator[tuple[str, Look]]:
    """Yield how each certificate is called and what tells its end."""
    for variable, called, is_authority in FILES:
        if path := os.environ.get(variable):
            yield called, partial(end_of_file, path, is_authority=is_authority)
    database = settings.DATABASES["default"]
    host, options = str(database.get("HOST") or ""), database.get("OPTIONS", {})
    if host and not host.startswith("/") and options.get("sslmode") != "disable":
        port = str(database.get("PORT") or 5432)
        at = host.partition(",")[0], int(port.partition(",")[0])  # of several the first
        yield "of PostgreSQL", partial(end_of_peer, *at, is_postgres=True)
    redis = urlsplit(settings.REDIS_URL)
    if redis.scheme == "rediss" and redis.hostname:
        yield "of Redis", partial(end_of_peer, redis.hostname, redis.port or 6379)
    roots = {
        "of the authority of PostgreSQL": options.get("sslrootcert"),
        "of the authority of Redis": parse_qs(redis.query).get("ssl_ca_certs", [""])[0],
    }
    for called, root in roots.items():
        if root and root != "system":
            yield called, partial(end_of_file, root, is_authority=True)


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
