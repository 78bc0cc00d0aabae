"""Fetches what partners left for us, and keeps it before anybody reads it; without it an answer could get lost.

A file is taken when its size and time are the same at two looks and it is whole: an interchange that ends with its
trailer, or an archive with its directory. What looks like neither is taken when it has not changed for ten minutes: a
reader puts it aside for a person. Whether a file was taken before is known by partner, name, size and digest. While
its name, size and time are those it was kept with, it is fetched again only where we delete what is kept. A file with
the bytes of one that we made, for any partner, is neither taken nor deleted.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backend.apps.core import alerts, dispatch
from backend.apps.core.work import WorkState
from backend.apps.insurance.models import InboundFile, Interchange, TradingPartner
from backend.apps.insurance.models.answers import InboundFileStatus
from backend.apps.insurance.models.partners import Transport
from integrations.clearinghouse.port import Door, RemoteFile
from integrations.clearinghouse.unzip import is_zip, members
from integrations.errors import IntegrationError, Permanent
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.claims import partners
from workers.claims.one_at_a_time import alone_with
from workers.runner import HandlerBug, attempt, told
from workers.tallying import Tally

MOST_BYTES = 64 * 1024 * 1024
MOST_FILES = 200  # of one look; the rest waits for the next
MOST_ASIDE = 10  # of one look, of files that are kept and may be deleted, and of files named as ours are
BUDGET_S = 150.0
STILL_FOR = timedelta(minutes=10)
SILENT_FOR = timedelta(hours=2)
FAILURES = 2  # in a row to reach the partner at all, after which the visit ends: it is not the file
# How a connection ends or is not let in; whatever else is said of one file is about that file.
UNREACHED = re.compile(
    r".*:(broken|unreached|handshake|subsystem|unanswered|unsent|auth|host_key|pin|key|algorithms|certificates|proxy|names"
    r"|http-401|http-407|http-429|http-503)"
).fullmatch
REFUSED, UNREMOVED, OUR_OWN = "refused", "unremoved", "our own"  # what may go wrong with a file, each with an alert
ARCHIVE_END = b"PK\x05\x06"
TRAILER = re.compile(rb"IEA[^A-Za-z0-9]\d+[^A-Za-z0-9]\d{9}[^A-Za-z0-9]?\s*\Z")


@app.task(name="claims.collect")  # type: ignore[untyped-decorator]  # Celery has no types
def collect_due() -> str:
    """Look at each partner's folder; safe to run twice, also at once.

    Raises:
        HandlerBug: after the last partner; what went wrong at one of them holds up no other.
    """
    counts, bugs, until = Counter[str](), list[str](), time.monotonic() + BUDGET_S
    tally = Tally("claims.collect")
    with beating("collect answers to claims"):
        for key in _partners():
            if time.monotonic() < until:
                done, error = attempt(collect, key, until)
                counts.update(done or ())
                if error:
                    tally.failed(error)
                    bugs.append(partners.failed(key, partners.COLLECTING, error))
    tally.note({"done": counts["taken"], REFUSED: counts[REFUSED], "not reached": counts["not reached"]})
    if bugs:
        raise HandlerBug(f"{bugs[-1]} in claims.collect")
    return told(counts).replace("nothing due", "nothing there")


def _partners() -> list[UUID]:
    """Return who may have answers, in no order: whoever is slow or fails is not always the first."""
    rows = TradingPartner.objects.filter(is_active=True, paused_at=None)
    keys = list(rows.exclude(transport=Transport.FOLDER, inbound_folder="").values_list("pk", flat=True))
    random.shuffle(keys)
    return keys


def collect(partner_id: UUID, until_s: float) -> Counter[str]:
    """Fetch what one partner has for us, up to a moment; return counts by what became of it."""
    with alone_with(partner_id, "collect") as turn:
        if not turn:
            return Counter({"left to another worker": 1})
        return _Visit(TradingPartner.objects.get(pk=partner_id), until_s).run()


class _Visit:
    """One look at what a partner has for us."""

    def __init__(self, partner: TradingPartner, until_s: float) -> None:
        self.partner, self.until_s = partner, until_s
        self.failures = 0
        self.counts, self.refused, self.unremoved = Counter[str](), list[str](), list[str]()
        self.unseen = set[str]()  # of what this visit has not seen all: then that none went wrong says nothing

    def run(self) -> Counter[str]:
        _, error = attempt(self._fetch_all)
        if error is None:
            TradingPartner.objects.filter(pk=self.partner.pk).update(collected_at=timezone.now())
            partners.works(self.partner, partners.COLLECTING)
        elif isinstance(error, IntegrationError):
            self.counts["not reached"] += 1
            last = self.partner.collected_at or self.partner.created_at
            tell = timezone.now() - last > SILENT_FOR
            partners.in_trouble(self.partner, partners.COLLECTING, error, tell=tell)
        else:
            raise error
        self._tell_all(whole=error is None)
        return self.counts

    def _fetch_all(self) -> None:
        with gateways.clearinghouse(self.partner) as door:
            for file in self._still(door):
                if time.monotonic() > self.until_s:
                    self.counts["left for the next look"] += 1
                    self.unseen |= {REFUSED, UNREMOVED, OUR_OWN}
                else:
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
        """Leave out what is kept already, by name, size and time; of that, where we delete, most.

        A name may come again with the size it had, and with any time: a partner may write a file long before it puts it
        there. So what is kept and still lies there is looked at again before it is removed, after all that is new. What
        has the name of a file of ours is an answer all the same, unless it has the bytes of one: seen last, and few.
        """
        names = [file.name for file in listed]
        ours = set(self.partner.interchanges.filter(file_name__in=names).values_list("file_name", flat=True))
        kept = InboundFile.all_objects.filter(partner=self.partner, name__in=names)
        known = set()
        for name, size, key in kept.values_list("name", "size_bytes", "dedupe_key"):
            time_listed = key.partition(" ")[2]
            known |= {(name, size, time_listed), (name, 0, time_listed)}  # some partners' lists tell no sizes
        news, named_as_ours, old = list[RemoteFile](), list[RemoteFile](), list[RemoteFile]()
        for file in listed:
            is_known = (file.name, file.size, _time(file)) in known
            (old if is_known else named_as_ours if file.name in ours else news).append(file)
        aside = self._some(named_as_ours, MOST_ASIDE, {REFUSED, OUR_OWN})
        if self.partner.deletes_after_download:
            aside += self._some(old, MOST_ASIDE, {UNREMOVED})
        return self._first(news) + aside

    def _first(self, news: list[RemoteFile]) -> list[RemoteFile]:
        """Return the oldest, and of the others some by chance: many that are never got would be in the way for ever."""
        if len(news) <= MOST_FILES:
            return news
        oldest = MOST_FILES - MOST_FILES // 2
        return news[:oldest] + self._some(news[oldest:], MOST_FILES // 2, {REFUSED, OUR_OWN})

    def _some(self, files: list[RemoteFile], most: int, unseen: set[str]) -> list[RemoteFile]:
        """Return a few, by chance, so that none is always in the way of the others. unseen: see there."""
        if len(files) <= most:
            return files
        self.unseen |= unseen
        return random.sample(files, most)

    def _take(self, file: RemoteFile, door: Door) -> None:
        content, error = attempt(door.fetch, file.name, MOST_BYTES)
        if error is not None:
            self._go_on_after(error, self.refused)
            return
        self.failures = 0
        if not _is_whole(content) and timezone.now() - file.modified_at < STILL_FOR:
            self.counts["not whole yet"] += 1
            return
        if Interchange.all_objects.filter(sha256=hashlib.sha256(content).hexdigest()).exists():
            self.counts[OUR_OWN] += 1
            return
        kept, is_new = store(self.partner, file.name, content, _time(file))
        self.counts["taken" if is_new else "known"] += 1
        if self.partner.deletes_after_download:
            self._remove(file.name, kept, door)

    def _remove(self, name: str, kept: InboundFile, door: Door) -> None:
        _, error = attempt(door.remove, name)
        if error is None:
            InboundFile.objects.filter(pk=kept.pk, removed_at=None).update(removed_at=timezone.now())
        else:
            self._go_on_after(error, self.unremoved)

    def _go_on_after(self, error: Exception, refused: list[str]) -> None:
        """Note that a file was not got or removed; raises the error where it is not about the file."""
        if not isinstance(error, IntegrationError):
            raise error
        self.failures = self.failures + 1 if UNREACHED(error.code) else 0
        if self.failures >= FAILURES:
            raise error
        if error.code.endswith(":gone"):
            self.counts["gone"] += 1
        else:
            self.counts[REFUSED] += 1
            refused.append(error.code)

    def _tell_all(self, *, whole: bool) -> None:
        """Tell of the files that went wrong, by how many: their names are the partner's, and may be anything."""
        self._tell(REFUSED, "cannot be taken", self.refused, whole=whole)
        self._tell(UNREMOVED, "are kept here, but cannot be deleted there as agreed", self.unremoved, whole=whole)
        ours = ["by their bytes"] * self.counts[OUR_OWN]
        self._tell(OUR_OWN, "among its answers are ours, and left there", ours, whole=whole)

    def _tell(self, what: str, says: str, codes: list[str], *, whole: bool) -> None:
        """codes: of each file, why; where there is none, the alert is cleared after a look at everything."""
        cause = f"claims answers {what}:{self.partner.pk}"
        if codes:
            sentence = f"{self.partner.name}: {len(codes)} files {says} ({codes[0]})."
            alerts.open_once(cause, kind="claims_answer", sentence=sentence, subject=self.partner)
        elif whole and what not in self.unseen:
            alerts.clear(cause)


def _time(file: RemoteFile) -> str:
    return f"{file.modified_at.timestamp():.0f}"


def _is_whole(content: bytes) -> bool:
    if is_zip(content):
        return ARCHIVE_END in content[-66_000:]  # a comment of 65,535 bytes may follow
    return content.lstrip(b"\xef\xbb\xbf \r\n\t")[:3] == b"ISA" and bool(TRAILER.search(content[-80:]))


def store(partner: TradingPartner, name: str, content: bytes, listed: str = "") -> tuple[InboundFile, bool]:
    """Keep a file of a partner, of an archive each file in it too; return it and whether it is new.

    listed: the time the partner's list told; what is kept with it is not fetched again.

    All of it is committed together, before anybody reads it.
    """
    with transaction.atomic():
        kept, is_new = _keep(partner, name, content, listed=listed)
        if is_new and is_zip(content):
            _unpack(kept)
    return kept, is_new


def _keep(
    partner: TradingPartner, name: str, content: bytes, *, listed: str = "", container: InboundFile | None = None
) -> tuple[InboundFile, bool]:
    digest = hashlib.sha256(content).hexdigest()
    key: dict[str, Any] = {"partner": partner, "name": name, "size_bytes": len(content), "sha256": digest}
    found = InboundFile.all_objects.filter(**key).defer("content").first()
    whole = hashlib.sha256(f"{partner.pk}\n{name}\n{len(content)}\n{digest}".encode()).hexdigest()
    once = f"answer:{whole} {listed}".strip()
    if found is not None:
        if listed:
            InboundFile.all_objects.filter(pk=found.pk).update(dedupe_key=once, updated_at=timezone.now())
        return found, False
    made = InboundFile.objects.create(**key, content=content, container=container, dedupe_key=once)
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
