"""Holds that a certificate that ends is told of in time, again as its end comes near, and no more when it is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.laboratory.models import LabFeed
from backend.apps.laboratory.tests.factories import make_lab_feed
from tests.support.stage import database_url
from tests.support.tls_front import TlsFront
from workers import certificate_watch
from workers.cli import certificates

pytestmark = pytest.mark.django_db
PUBLIC = "of the address patients and staff reach us at"
OURS = certificates.authority("ours")


def ending(days: int, name: str = "mllp") -> str:
    return certificates.issued(OURS, [name], days=days)[0]


def told() -> dict[str, tuple[str, int]]:
    rows = Alert.objects.filter(kind="certificate_ends", resolved_at=None)
    return {row.cause.partition(":")[2]: (row.severity, row.times) for row in rows}


def test_its_end_is_told_at_each_tier_and_settled_when_it_was_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    mine, old = tmp_path / "mllp.crt", tmp_path / "ca.crt"
    for name in ("MLLP_CERTIFICATE", "MLLP_CLIENT_CA", "LAB_ORDERS_CERTIFICATE", "LAB_ORDERS_CA"):
        monkeypatch.delenv(f"CARERELAY_{name}", raising=False)
    monkeypatch.setenv("CARERELAY_MLLP_CERTIFICATE", str(mine))
    monkeypatch.setenv("CARERELAY_MLLP_CLIENT_CA", str(old))
    monkeypatch.setenv("CARERELAY_LAB_ORDERS_CA", str(tmp_path / "none"))
    old.write_text(ending(2) + ending(400))  # an old authority beside the new one
    for days, found in ((31, {}), (30, ("warning", 1)), (14, ("warning", 2)), (3, ("critical", 3)), (-1, None)):
        mine.write_text(ending(days) + OURS[0])
        for _ in range(2):
            assert certificate_watch.look() == f"{int(days < 31)} of 2 end soon"
        assert told() == ({"of MLLP": found or ("critical", 4)} if days < 31 else {})
    (alert,) = Alert.objects.filter(kind="certificate_ends")
    assert "The certificate of MLLP ended on" in alert.sentence
    assert str(tmp_path) not in alert.sentence
    mine.write_text(ending(400))
    certificate_watch.look()
    assert told() == {}
    old.write_text(ending(400, "one laboratory") + ending(10, "another"))
    certificate_watch.look()
    assert told() == {"of the authority of laboratories at MLLP": ("warning", 1)}, "the others go on"
    monkeypatch.delenv("CARERELAY_MLLP_CLIENT_CA")
    certificate_watch.look()
    assert told() == {}, "what is used no more is nobody's trouble"


def test_a_laboratory_whose_certificate_ends_is_told_of_by_its_feed_until_it_shows_another() -> None:
    feed = make_lab_feed(name="N" * 120, certificate_ends_at=timezone.now() + timedelta(days=13))
    off = make_lab_feed(sending_facility="OFF", is_active=False, certificate_ends_at=timezone.now())
    for _ in range(2):
        certificate_watch.look()
    (alert,) = Alert.objects.filter(kind="certificate_ends", cause__contains="feed", resolved_at=None)
    assert (alert.subject_id, alert.severity, alert.times) == (str(feed.pk), "warning", 1)
    assert "in 14 days at most; then nothing comes from it any more" in alert.sentence
    assert str(off.pk) not in alert.cause
    LabFeed.objects.filter(pk=feed.pk).update(certificate_ends_at=timezone.now() + timedelta(days=400))
    certificate_watch.look()
    assert f"feed {feed.pk}" not in told()


def test_servers_are_asked_for_theirs_by_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    at = urlsplit(database_url())
    database = settings.DATABASES["default"]
    assert certificate_watch.end_of_peer(at.hostname or "", at.port or 0, is_postgres=True) is None, "it has none"
    pair = certificates.issued(OURS, ["127.0.0.1"], days=2)
    with (
        TlsFront((at.hostname or "", at.port or 0), tmp_path, pair, asks_first=True) as postgres,
        TlsFront((at.hostname or "", at.port or 0), tmp_path, pair, asks_first=False) as redis,
    ):
        monkeypatch.setitem(database, "HOST", "127.0.0.1")
        monkeypatch.setitem(database, "PORT", str(postgres.port))
        settings.REDIS_URL = f"rediss://127.0.0.1:{redis.port}/0?ssl_ca_certs={tmp_path / 'front.crt'}"
        settings.CELERY_BROKER_URL = settings.REDIS_URL
        assert "of the broker" not in dict(certificate_watch.watched()), "it is the same"
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:1;{settings.REDIS_URL.replace('/0?', '/1?')}"
        settings.PUBLIC_BASE_URL = f"https://127.0.0.1:{redis.port}"
        looks = dict(certificate_watch.watched())
        wanted = ("of PostgreSQL", "of Redis", "of the authority of Redis", "of the broker, the 2. address", PUBLIC)
        ends = [looks[called]() for called in wanted]
    days = timedelta(days=2)
    assert all(end and abs(end - datetime.now(UTC) - days) < timedelta(hours=1) for end in ends)
    assert timezone.is_aware(ends[0])
