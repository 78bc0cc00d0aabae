"""Fetches what partners left for us, and keeps it before anybody reads it; without it an answer could get lost.

A file is taken when its size and time are the same at two looks and it is whole: an interchange that ends with its
trailer, or an archive with its directory. What looks like neither is taken when it has not changed for ten minutes: a
reader puts it aside for a person. Whether a file was taken before is known by partner, name, size and digest.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from backend.apps.core import alerts, dispatch
from backend.apps.core.work import WorkState
from backend.apps.insurance.models import InboundFile, TradingPartner
from backend.apps.insurance.models.answers import InboundFileStatus
from integrations.clearinghouse.port import Door, RemoteFile
from integrations.clearinghouse.unzip import is_zip, members
from integrations.errors import IntegrationError, Permanent
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.claims import partners
from workers.claims.one_at_a_time import alone_with
from workers.runner import attempt, told

MOST_BYTES = 64 * 1024 * 1024
MOST_FILES = 200  # of one look; the rest waits for the next
BUDGET_S = 150.0
STILL_FOR = timedelta(minutes=10)
SILENT_FOR = timedelta(hours=2)
ARCHIVE_END = b"PK\x05\x06"
TRAILER = re.compile(rb"IEA[^A-Za-z0-9]\d+[^A-Za-z0-9]\d{9}[^A-Za-z0-9]?\s*\Z")


@app.task(name="claims.collect")  # type: ignore[untyped-decorator]  # Celery has no types
def collect_due() -> str:
    """Look at each partner's folder; safe to run twice, also at once."""
    counts, until = Counter[str](), time.monotonic() + BUDGET_S
    with beating("collect answers to claims"):
        rows = TradingPartner.objects.filter(is_active=True, paused_at=None).exclude(inbound_folder="", base_url="")
        for partner in rows.order_by("collected_at"):
            if time.monotonic() < until:
                counts.update(collect(partner.pk))
    return told(counts).replace("nothing due", "nothing there")


def collect(partner_id: UUID) -> Counter[str]:
    """Fetch what one partner has for us; return counts by what became of it."""
    with alone_with(partner_id, "collect") as ours:
        if not ours:
            return Counter({"left to another worker": 1})
        return _Visit(TradingPartner.objects.get(pk=partner_id)).run()


class _Visit:
    """One look at what a partner has for us."""

    def __init__(self, partner: TradingPartner) -> None:
        self.partner = partner
        self.counts = Counter[str]()

    def run(self) -> Counter[str]:
        _, error = attempt(self._fetch_all)
        if error is None:
            TradingPartner.objects.filter(pk=self.partner.pk).update(collected_at=timezone.now())
            partners.works(self.partner)
        elif isinstance(error, IntegrationError):
            self.counts["not reached"] += 1
            last = self.partner.collected_at or self.partner.created_at
            partners.in_trouble(self.partner, error, tell=timezone.now() - last > SILENT_FOR)
        else:
            raise error
        return self.counts

    def _fetch_all(self) -> None:
        with gateways.clearinghouse(self.partner) as door:
            for file in self._still(door):
                self._take(file, door)

    def _still(self, door: Door) -> list[RemoteFile]:
        """Return the files that were the same at two looks and may be news, the oldest first."""
        first = self._news(door.listing())
        if not first:
            return []
        time.sleep(settings.CLAIMS_LOOK_AGAIN_S)
        again = set(door.listing())
        self.counts["still growing"] += sum(1 for file in first if file not in again)
        return [file for file in first if file in again]

    def _news(self, listed: Sequence[RemoteFile]) -> list[RemoteFile]:
        """Leave out what is kept already, by name and size and not written since; where we delete, nothing is."""
        if self.partner.deletes_after_download:
            return list(listed[:MOST_FILES])
        kept = InboundFile.all_objects.filter(partner=self.partner, name__in=[file.name for file in listed])
        received = {
            (name, size): at
            for name, size, at in kept.values_list("name", "size_bytes").annotate(at=Max("received_at"))
        }
        sizeless = {name: at for (name, _), at in received.items()}  # some partners' lists tell no sizes
        news = []
        for file in listed:
            at = received.get((file.name, file.size)) if file.size else sizeless.get(file.name)
            if at is None or file.modified_at > at:
                news.append(file)
        return news[:MOST_FILES]

    def _take(self, file: RemoteFile, door: Door) -> None:
        content, error = attempt(door.fetch, file.name, MOST_BYTES)
        if isinstance(error, Permanent):
            self._refuse(file, error)
            return
        if isinstance(error, IntegrationError) and error.code.endswith(":gone"):
            self.counts["gone"] += 1
            return
        if error is not None:
            raise error
        if not _is_whole(content) and timezone.now() - file.modified_at < STILL_FOR:
            self.counts["not whole yet"] += 1
            return
        kept, is_new = store(self.partner, file.name, content)
        self.counts["taken" if is_new else "known"] += 1
        if self.partner.deletes_after_download:
            door.remove(file.name)
            InboundFile.objects.filter(pk=kept.pk, removed_at=None).update(removed_at=timezone.now())

    def _refuse(self, file: RemoteFile, error: Permanent) -> None:
        self.counts["refused"] += 1
        digest = hashlib.sha256(file.name.encode()).hexdigest()[:16]
        alerts.open_once(
            f"claims answer:{self.partner.pk}:{digest}",
            kind="claims_answer",
            sentence=f"{self.partner.name}: a file of {file.size} bytes is not taken ({error.code}).",
            subject=self.partner,
        )


def _is_whole(content: bytes) -> bool:
    if is_zip(content):
        return ARCHIVE_END in content[-66_000:]  # a comment of 65,535 bytes may follow
    return content.lstrip(b"\xef\xbb\xbf \r\n\t")[:3] == b"ISA" and bool(TRAILER.search(content[-80:]))


def store(partner: TradingPartner, name: str, content: bytes) -> tuple[InboundFile, bool]:
    """Keep a file of a partner, of an archive each file in it too; return it and whether it is new.

    All of it is committed together, before anybody reads it.
    """
    with transaction.atomic():
        kept, is_new = _keep(partner, name, content)
        if is_new and is_zip(content):
            _unpack(kept)
    return kept, is_new


def _keep(
    partner: TradingPartner, name: str, content: bytes, *, container: InboundFile | None = None
) -> tuple[InboundFile, bool]:
    digest = hashlib.sha256(content).hexdigest()
    key: dict[str, Any] = {"partner": partner, "name": name, "size_bytes": len(content), "sha256": digest}
    found = InboundFile.all_objects.filter(**key).defer("content").first()
    if found is not None:
        return found, False
    whole = hashlib.sha256(f"{partner.pk}\n{name}\n{len(content)}\n{digest}".encode()).hexdigest()
    made = InboundFile.objects.create(**key, content=content, container=container, dedupe_key=f"answer:{whole}")
    dispatch.ring(InboundFile.task_name)
    return made, True


def _unpack(archive: InboundFile) -> None:
    """Keep the files of an archive, all or none; the archive itself needs no reading."""
    files, error = attempt(lambda: list(members(bytes(archive.content))))
    changes: dict[str, Any] = {"status": InboundFileStatus.APPLIED, "kinds": "zip", "work_state": WorkState.DONE}
    if isinstance(error, Permanent):
        changes |= {"status": InboundFileStatus.QUARANTINED, "status_reason": str(error)}
        alerts.open_once(
            f"claims answer:{archive.pk}",
            kind="claims_answer",
            sentence=f"{archive.partner.name}: an archive cannot be opened ({error.code}); it is kept as it came.",
            subject=archive,
        )
    elif error is not None:
        raise error
    for name, content in files or ():
        _keep(archive.partner, name, content, container=archive)
    InboundFile.objects.filter(pk=archive.pk).update(**changes, read_at=timezone.now())
