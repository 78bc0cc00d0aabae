"""Holds seals and archives to what a place outside was told of them; who rewrites the database cannot rewrite both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from backend.apps.core import audit_anchors, audit_files, audit_lines, merkle
from backend.apps.core.audit_lines import Line
from backend.apps.core.models import AuditAnchor, AuditArchive, AuditSeal

AT_ONCE = 1_000  # lines
Tell = Callable[[str], None]


@dataclass(slots=True)
class Reading:
    """How far a file of anchors was read. end: up to which byte; newest: the last seal it tells of by there."""

    keys: merkle.Keys
    find: Tell
    remark: Tell
    end: int = 0
    newest: int = 0
    archives: list[Line] = field(default_factory=list)


def compare(
    anchors: Path | None,
    keys: merkle.Keys,
    *,
    find: Tell,
    find_once: Tell,
    remark: Tell,
    goes_on: bool = False,
    deadline: float = float("inf"),
) -> bool:
    """Hold the database to a file of anchors; without one, to that which we write ourselves, where we do.

    goes_on: begin where the look before ended, and keep where this one does; that every archive we told of has its line
    is looked at from the beginning alone. find_once: told what each run of one look would meet again. deadline: of
    `time.monotonic`. Returns whether the end was reached.
    """
    path = anchors or audit_anchors.own_file()
    told = AuditAnchor.objects.filter(target=audit_anchors.target()).first()  # read first: lines are added meanwhile
    if path is None or not path.exists():
        if anchors is not None or (path is not None and told is not None and told.n):
            find_once(f"The file of anchors {path} is not there.")
        else:
            remark("No anchors were compared: --anchor names a file of them.")
        return True
    begin = told.read_to if told is not None and goes_on else 0
    if path.stat().st_size < begin:
        find_once(f"The file of anchors was cut: {begin:,} bytes of it were read before.")
        return True
    read = Reading(keys, find, remark, begin, told.read_n if told is not None and begin else 0)
    whole = _read(path, read, deadline)
    if goes_on and told is not None:
        AuditAnchor.objects.filter(target=told.target).update(read_to=read.end, read_n=read.newest)
    if whole and anchors is None and told is not None and read.newest < told.n:
        find_once(f"The file of anchors ends at seal {read.newest}, and was written up to seal {told.n}.")
    own = told if anchors is None and whole and not begin else None
    _compare_archives(read.archives, own, keys, find, remark)
    return whole


def from_the_beginning() -> None:
    """Let the next look that goes on read every file of anchors anew."""
    AuditAnchor.objects.exclude(read_to=0).update(read_to=0, read_n=0)


def _read(path: Path, read: Reading, deadline: float) -> bool:
    """Hold seals to the lines from `read.end` on; return whether the last one was reached in time."""
    lines = audit_lines.standing(path, _losses(path, read), begin=read.end)
    while batch := list(islice(lines, AT_ONCE)):
        seals = [line for line in batch if line.kind == audit_lines.SEAL]
        read.archives += [line for line in batch if line.kind == audit_lines.ARCHIVE]
        read.newest, read.end = max((read.newest, *(line.n for line in seals))), batch[-1].end
        for line, fault in faults_of(seals):
            unsigned = f"The anchor of seal {line.n} is not signed by a key of ours."
            read.find(fault if line.is_signed(read.keys) else unsigned)
        if time.monotonic() > deadline:
            return next(lines, None) is None
    return True


def _losses(path: Path, read: Reading) -> list[Line]:
    signed = list[Line]()
    for line in audit_lines.settled(path, begin=read.end):
        if line.is_signed(read.keys):
            signed.append(line)
            read.remark(f"Seals {line.n + 1} to {line.lost} were lost, or made anew; a person settled that.")
        else:
            read.find(
                f"The line of the anchors that the loss of seal {line.lost} is settled is not signed by a key of ours."
            )
    return signed


def faults_of(lines: Sequence[Line]) -> Iterator[tuple[Line, str]]:
    """Yield those lines about seals that the database does not agree with, and in what."""
    hashes: dict[int, Any] = dict(AuditSeal.objects.filter(n__in=[line.n for line in lines]).values_list("n", "hash"))
    for line in lines:
        have = hashes.get(line.n)
        if have is None:
            yield line, f"Seal {line.n} was anchored outside and is gone: seals were cut off."
        elif bytes(have) != line.hash:
            yield line, f"Seal {line.n} is not the one that was anchored outside: it was rewritten."


def _compare_archives(
    lines: Sequence[Line], told: AuditAnchor | None, keys: merkle.Keys, find: Tell, remark: Tell
) -> None:
    """Hold what is said of files of months taken off to the lines. told: what we told this file ourselves."""
    rows = {audit_files.to_sign(row.statement): row for row in AuditArchive.objects.all()}
    for line in lines:
        if not line.is_signed(keys):
            find(f"The anchor of the file {line.file} is not signed by a key of ours.")
        elif line.hash not in rows:
            find(f"The file {line.file} was anchored outside, and what was said of it is gone or was rewritten.")
    if told is None:
        return
    for said in rows.keys() - {line.hash for line in lines}:
        if str(rows[said].pk) in told.archives:
            find(f"What is said of the file {rows[said].file_name} is not what was anchored outside.")
        else:
            remark(f"The file {rows[said].file_name}, taken off the log, is not anchored outside yet.")
