"""Holds seals and archives to what a place outside was told of them; who rewrites the database cannot rewrite both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from backend.apps.core import audit_anchors, audit_files, audit_lines, merkle
from backend.apps.core.audit_lines import Line
from backend.apps.core.models import AuditAnchor, AuditArchive, AuditSeal

AT_ONCE = 1_000  # lines
Tell = Callable[[str], None]


def compare(anchors: Path | None, keys: merkle.Keys, *, find: Tell, remark: Tell) -> None:
    """Hold the database to a file of anchors; without one, to that which we write ourselves, where we do."""
    path = anchors or audit_anchors.own_file()
    told = AuditAnchor.objects.filter(target=audit_anchors.target()).first()  # read first: lines are added meanwhile
    if path is None or not path.exists():
        if anchors is not None or (path is not None and told is not None and told.n):
            find(f"The file of anchors {path} is not there.")
        else:
            remark("No anchors were compared: --anchor names a file of them.")
        return
    newest, archives = 0, list[Line]()
    lines = audit_lines.standing(path, _losses(path, keys, find, remark))
    while batch := list(islice(lines, AT_ONCE)):
        seals = [line for line in batch if line.kind == audit_lines.SEAL]
        archives += [line for line in batch if line.kind == audit_lines.ARCHIVE]
        newest = max((newest, *(line.n for line in seals)))
        for line, fault in faults_of(seals):
            find(fault if line.is_signed(keys) else f"The anchor of seal {line.n} is not signed by a key of ours.")
    if anchors is None and told is not None and newest < told.n:
        find(f"The file of anchors ends at seal {newest}, and was written up to seal {told.n}.")
    _compare_archives(archives, told if anchors is None else None, keys, find, remark)


def _losses(path: Path, keys: merkle.Keys, find: Tell, remark: Tell) -> list[Line]:
    signed = list[Line]()
    for line in audit_lines.settled(path):
        if line.is_signed(keys):
            signed.append(line)
            remark(f"Seals {line.n + 1} to {line.lost} were lost, or made anew; a person settled that.")
        else:
            find(
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
