"""Goes on telling the place outside after seals it was told of are gone; a person says why, and that stays on record.

Without it the alert would stay for ever, or end by itself as soon as as many seals were made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from backend.apps.core import alerts, audit, audit_anchored, audit_anchors, audit_keys, audit_lines, statements
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AuditAnchor, AuditSeal

LONGEST = 300  # characters of a reason
NONE = 2**62  # a seal that never is


@dataclass(frozen=True, slots=True)
class Settled:
    """What was settled: the last seal that is as it was anchored, and the last one that was lost; equal: none is."""

    last: int
    lost: int


@transaction.atomic
def settle(reason: str, *, anchors: Path | None = None, by: Any = None) -> Settled:
    """Say outside that what was told after the last common seal is void, and have all from there on told again.

    anchors: the lines a collector kept, needed where we write no file ourselves. Whoever tells at the same moment finds
    its place moved and tells again from here. Broken off, the alert stays and it can be done again.

    Raises:
        DomainError: no reason is given, nothing is lost, or no lines are there to compare with.
        OSError: the place cannot be written.
    """
    if not reason.strip():
        raise DomainError("Say why with --reason; it stays in the audit log.")
    place = AuditAnchor.objects.select_for_update().filter(target=audit_anchors.target()).first()
    if place is None:
        raise DomainError("Nothing was told to this place yet; there is nothing to settle.")
    found = _lost(place, anchors or audit_anchors.own_file())
    if found.last < found.lost:
        now = statements.database_now()
        audit_anchors.write(settings.AUDIT_ANCHOR, [audit_lines.of_loss(found.last, found.lost, now)])
        common = AuditSeal.objects.filter(n=found.last).values_list("hash", flat=True).first()
        place.n, place.hash, place.archives, place.anchored_at = found.last, bytes(common or b""), [], now
        place.read_to, place.read_n, place.read_archives = 0, 0, {}
        place.save()
    elif not Alert.objects.filter(cause__in=audit_anchors.causes_gone(place), resolved_at=None).exists():
        raise DomainError("No seal that was anchored is gone; there is nothing to settle.")
    detail = {"reason": reason.strip()[:LONGEST], "last": found.last, "lost": found.lost}
    audit.record(None, "settle", "auditlog", detail=detail, user=by)
    alerts.clear(*audit_anchors.causes_gone(place))
    return found


def _lost(place: AuditAnchor, path: Path | None) -> Settled:
    """Return the last seal before the first one that is not as it was anchored, and the last that was anchored.

    Of our own file a line that is not there is lost, too: it was told of all.
    """
    if path is None:
        raise DomainError("The anchors are sent away. Give the lines the collector kept with --anchor FILE.")
    is_own = path == audit_anchors.own_file()
    if not path.exists():
        if not is_own:
            raise DomainError(f"There is no file {path} to compare with.")
        return Settled(0, place.n)  # all is told again
    first, told, there = place.n if audit_anchors.is_lost(place) else NONE, place.n, 0
    keys = audit_keys.known()
    losses = audit_anchored.signed_losses(path, keys)
    lines = (line for line in audit_lines.standing(path, losses) if line.kind == audit_lines.SEAL)
    while batch := list(islice(lines, audit_anchored.AT_ONCE)):
        faults = {fault.line: fault for fault in audit_anchored.faults_of(path, batch, keys, lambda: losses)}
        ours = [line for line in batch if line not in faults or faults[line].is_ours]
        told = max((told, *(line.n for line in ours)))
        first = min((first, *(line.n for line in ours if line in faults)))
        for line in ours:
            first = min(first, there + 1) if is_own and line.n > there + 1 else first
            there = max(there, line.n)
    first = min(first, there + 1) if is_own and there < place.n else first
    newest = AuditSeal.objects.order_by("-n").values_list("n", flat=True).first() or 0
    return Settled(told, told) if first == NONE else Settled(min(first - 1, newest), told)
