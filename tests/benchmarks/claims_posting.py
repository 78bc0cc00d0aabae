"""Measures posting an 835 of ten thousand claims to the ledger; posted twice, it must be there once."""

from __future__ import annotations

import gc
import hashlib
import os
import time
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Sum
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.insurance import interchanges, numbering
from backend.apps.insurance.models import InboundFile, InsuranceClaim, Interchange, Posting, Remittance
from tests.benchmarks.bars import Bar, tell
from tests.support import claim_load
from tests.support.claim_payments import remittance
from workers.claims import building, reading

CLAIMS = int(os.environ.get("BENCH_CLAIMS", "10000"))
BAR_S = 30.0


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    """Send claims by the product's own hands, then let their payment in: once, and then thrice more."""
    claim_load.clear()
    practice = claim_load.practice()
    rows = sent(practice)
    day = f"{Clinic.today():%Y%m%d}"
    content = remittance(rows, number=1, day=day, trace="SAMPLE1")
    took_s, status = posted(practice, content)
    before = ledger()
    state = Remittance.objects.get().status
    statuses = {one: InsuranceClaim.objects.filter(status=one).count() for one in ("paid", "denied", "submitted")}
    told = ", ".join(f"{many:,} {one}" for one, many in statuses.items())
    print(f"{len(content) / 1e6:.1f} MB in {took_s:.1f} s: {before[0]:,} entries, claims: {told}")
    again = [
        posted(practice, content)[0],
        posted(practice, remittance(rows, number=2, day=day, trace="SAMPLE1"))[0],
        read_again(),
    ]
    print(f"a copy, another file with the payment, the same row again: {', '.join(f'{one:.1f} s' for one in again)}")
    more = ledger()[0] - before[0]
    good = took_s < BAR_S and (status, state) == ("applied", "posted") and not statuses["submitted"]
    return [
        Bar(f"posting an 835 of {CLAIMS:,} claims", f"{BAR_S:.0f} s", f"{took_s:.1f} s", good),
        Bar("entries of its second, third and fourth reading", "0", f"{more}", ledger() == before),
    ]


def sent(practice: claim_load.Practice) -> Sequence[InsuranceClaim]:
    """Return claims that have left in a file."""
    rows = claim_load.claims(practice, CLAIMS, days_ago=20, numbers=numbering.claim_numbers(CLAIMS))
    claim_load.queue(rows)
    claim_load.vacuum()
    assert building.build(practice.partner.pk) == (CLAIMS, 0)
    assert interchanges.mark_sent(Interchange.objects.get(), at=timezone.now())
    Interchange.objects.update(work_state="done")
    claim_load.vacuum()
    return rows


def posted(practice: claim_load.Practice, content: bytes) -> tuple[float, str]:
    """Store a file as collecting does and read it as a worker does; return the seconds and what became of it."""
    number = InboundFile.objects.count()
    file = InboundFile.objects.create(
        partner=practice.partner,
        name=f"payment{number}.835",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
        due_at=timezone.now() - timedelta(seconds=1),
        dedupe_key=f"payment{number}",
    )
    took_s = read_due()
    return took_s, InboundFile.objects.values_list("status", flat=True).get(pk=file.pk)


def read_again() -> float:
    """Let the first file be read once more, as after a worker that died before it said so."""
    first = InboundFile.objects.order_by("pk")[:1].values("pk")
    InboundFile.objects.filter(pk__in=first).update(status="received", work_state="waiting", due_at=timezone.now())
    return read_due()


def read_due() -> float:
    gc.collect()
    began = time.perf_counter()
    told = reading.read_due()
    took_s = time.perf_counter() - began
    assert told == "1 done", told
    return took_s


def ledger() -> tuple[int, object, object]:
    """Return how many entries there are, what they add up to, and what claims say was paid."""
    entries = Posting.objects.aggregate(sum=Sum("amount"))["sum"]
    return Posting.objects.count(), entries, InsuranceClaim.objects.aggregate(sum=Sum("paid_amount"))["sum"]
