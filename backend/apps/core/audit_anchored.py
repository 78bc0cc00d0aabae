"""Holds seals and archives to what a place outside was told of them; who rewrites the database cannot rewrite both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from backend.apps.core import audit_anchors, audit_files, audit_lines, merkle
from backend.apps.core.audit_lines import Line
from backend.apps.core.models import AuditAnchor, AuditArchive, AuditSeal

AT_ONCE = 1_000  # lines
Tell = Callable[[str], None]
UNSIGNED = "The anchor of seal {0.n} is not signed by a key of ours: {1}, byte {0.at:,}."
COPIED = (
    "A line of the anchors says that it is of seal {0.n} and is of seal {2}: {1}, byte {0.at:,}. Somebody put it there."
)
GIVEN_UP = (
    "A line of the anchors of seal {0.n} is one that was given up before: {1}, byte {0.at:,}. Somebody put it there."
)
GONE = "Seal {0.n} was anchored outside and is gone: seals were cut off."
REWRITTEN = "Seal {0.n} is not the one that was anchored outside: it was rewritten."
SETTLED = "Seals {} to {}, or their anchors, were lost or made anew; a person settled that."
UNSETTLED = (
    "The line of the anchors that the loss of seal {0.lost} is settled is not signed by a key of ours: "
    "{1}, byte {0.at:,}."
)
PUT_BACK = " Put the lines back from a copy, or give them up with `manage audit settle`."
UNREADABLE = "The file of anchors {} cannot be read ({}): mend that, and verify again."
NOT_THERE = "The file of anchors {} is not there."
CUT = "The file of anchors {0.path} was cut or is another one: {0.end:,} bytes of it were read before."
REPLACED = "The file of anchors {0.path} is another one: no line ends at byte {0.end:,}, where the last look did."
LACKS = (
    "The file of anchors {0.path} lacks the lines of {0.lacks:,} seals, the first of seals {0.gap[0]} to {0.gap[1]}."
)
ENDS = "The file of anchors {0.path} ends at seal {0.newest}, and was written up to seal {1}."


@dataclass(slots=True)
class Reading:
    """How far a file of anchors was read. end: up to which byte; newest: the last seal it tells of by there.

    met: the archives it tells of by there, each by what was signed of it, and the name of its file. lacks: of how many
    seals there is no line between others; gap: the first of them, and the last beside it.
    """

    path: Path
    keys: merkle.Keys
    find: Tell
    remark: Tell
    end: int = 0
    newest: int = 0
    met: dict[str, str] = field(default_factory=dict)
    lacks: int = 0
    gap: tuple[int, int] = (0, 0)

    def meet(self, n: int) -> None:
        """Note a line about seal `n`; all are told in their order, some twice."""
        if n > self.newest + 1:
            self.gap = self.gap if self.lacks else (self.newest + 1, n - 1)
            self.lacks += n - self.newest - 1
        self.newest = max(self.newest, n)


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

    goes_on: begin where the look before ended, and keep where this one does. find_once: told what each run of one look
    would meet again. deadline: of `time.monotonic`. Returns whether the end was reached.
    """
    path = anchors or audit_anchors.own_file()
    try:
        # The place is read first: lines are added meanwhile.
        told = AuditAnchor.objects.filter(target=audit_anchors.target()).first()
        if path is None or not path.exists():
            if anchors is not None or (path is not None and told is not None and told.n):
                find_once(NOT_THERE.format(path) + (PUT_BACK if anchors is None else ""))
            else:
                remark("No anchors were compared: --anchor names a file of them.")
            return True
        read = Reading(path, keys, find, remark)
        if told is not None and goes_on and told.read_archives.get("until") == told.read_to:
            read.end, read.newest, read.met = told.read_to, told.read_n, told.read_archives["met"]
        if fault := _other_file(read):
            find_once(fault)
            return True
        return _compare(read, told, find_once, is_own=anchors is None, goes_on=goes_on, deadline=deadline)
    except OSError as error:  # the rows and the seals were looked at whatever is with the file
        find_once(UNREADABLE.format(path, error.strerror))
        return True


def _compare(
    read: Reading, told: AuditAnchor | None, find_once: Tell, *, is_own: bool, goes_on: bool, deadline: float
) -> bool:
    whole = _read(read, deadline)
    if goes_on and told is not None:
        archives = {"until": read.end, "met": read.met}
        place = AuditAnchor.objects.filter(target=told.target)
        place.update(read_to=read.end, read_n=read.newest, read_archives=archives)
    own = told if is_own else None
    _tell_gaps(read, own, find_once, whole=whole)
    if whole:
        _compare_archives(read, own, find_once)
    return whole


def from_the_beginning() -> None:
    """Let the next look that goes on read every file of anchors anew."""
    AuditAnchor.objects.exclude(read_to=0).update(read_to=0, read_n=0)


def _other_file(read: Reading) -> str:
    """Return a sentence where what was read before is not in this file any more, as far as its length tells."""
    if read.path.stat().st_size < read.end:
        return CUT.format(read)
    with read.path.open("rb") as file:
        file.seek(max(read.end - 1, 0))
        around = file.read(2) if read.end else b""
    return REPLACED.format(read) if len(around) == 2 and b"\n" not in around else ""


def _read(read: Reading, deadline: float) -> bool:
    """Hold seals to the lines from `read.end` on; return whether the last one was reached in time."""
    lines = audit_lines.standing(read.path, _losses(read), begin=read.end)
    losses = cache(partial(signed_losses, read.path, read.keys))  # those before, too, where a line is wrong
    while batch := list(islice(lines, AT_ONCE)):
        seals = [line for line in batch if line.kind == audit_lines.SEAL]
        faults = list(faults_of(read.path, seals, read.keys, losses))
        strange = {fault.line.at for fault in faults if not fault.is_ours}
        for line in seals:
            if line.at not in strange:
                read.meet(line.n)
        for fault in faults:
            read.find(fault.sentence)
        for line in batch:
            if line.kind == audit_lines.ARCHIVE:
                _meet_archive(read, line)
        read.end = batch[-1].end
        if time.monotonic() > deadline:
            return next(lines, None) is None
    return True


def _meet_archive(read: Reading, line: Line) -> None:
    if line.is_signed(read.keys):
        read.met[line.hash.hex()] = line.file
    else:
        read.find(f"The anchor of the file {line.file} is not signed by a key of ours: {read.path}, byte {line.at:,}.")


def _losses(read: Reading) -> list[Line]:
    signed = list[Line]()
    for line in audit_lines.settled(read.path, begin=read.end):
        if line.is_signed(read.keys):
            signed.append(line)
            read.remark(SETTLED.format(line.n + 1, line.lost))
        else:
            read.find(UNSETTLED.format(line, read.path))
    return signed


def _tell_gaps(read: Reading, own: AuditAnchor | None, find_once: Tell, *, whole: bool) -> None:
    """Tell of which seals there is no line: a fault of the file that we write, for it was told of all."""
    if read.lacks:
        tell = read.remark if own is None else read.find
        tell(LACKS.format(read) + ("" if own is None else PUT_BACK))
    if not whole:
        return
    if own is not None and read.newest < own.n:
        find_once(ENDS.format(read, own.n) + PUT_BACK)
    elif own is None and read.newest < (newest := _newest()):
        read.remark(f"The anchors in {read.path} end at seal {read.newest}; the log has {newest:,} seals.")


def _newest() -> int:
    return AuditSeal.objects.order_by("-n").values_list("n", flat=True).first() or 0


@dataclass(frozen=True, slots=True)
class Fault:
    """A line the database does not agree with. is_ours: we wrote it there, and the database is not as it was."""

    line: Line
    sentence: str
    is_ours: bool


def signed_losses(path: Path, keys: merkle.Keys) -> list[Line]:
    """Return the lines about losses in a file of anchors that we signed."""
    return [line for line in audit_lines.settled(path) if line.is_signed(keys)]


def faults_of(
    path: Path, lines: Sequence[Line], keys: merkle.Keys, losses: Callable[[], Sequence[Line]]
) -> Iterator[Fault]:
    """Yield what is wrong with those lines about seals of this file that the database does not agree with.

    losses: gives the file's signed lines about losses; asked only where one is wrong.
    """
    hashes: dict[int, Any] = dict(AuditSeal.objects.filter(n__in=[line.n for line in lines]).values_list("n", "hash"))
    wrong = [line for line in lines if line.n not in hashes or bytes(hashes[line.n]) != line.hash]
    if not wrong:
        return
    proved = {line.at for line in wrong if line.version > 1 and line.is_signed(keys)}
    numbers = _numbers([line.hash for line in wrong if line.at not in proved])
    for line in wrong:
        if line.hash in numbers:
            yield Fault(line, COPIED.format(line, path, numbers[line.hash]), is_ours=False)
        elif line.at not in proved and not line.is_signed(keys):
            yield Fault(line, UNSIGNED.format(line, path), is_ours=False)
        elif any(line.repeats(loss) for loss in losses()):
            yield Fault(line, GIVEN_UP.format(line, path), is_ours=False)
        else:
            yield Fault(line, (REWRITTEN if line.n in hashes else GONE).format(line), is_ours=True)


def _numbers(hashes: Sequence[bytes]) -> dict[bytes, int]:
    """Return the numbers of those seals there are that have one of these hashes; a hash is taken of the number too."""
    seals = AuditSeal.objects.filter(hash__in=hashes) if hashes else ()
    return {bytes(seal.hash): seal.n for seal in seals if merkle.link(seal) == bytes(seal.hash)}


def _compare_archives(read: Reading, told: AuditAnchor | None, find_once: Tell) -> None:
    """Hold what is said of files of months taken off to the lines. told: what we told this file ourselves."""
    rows = {audit_files.to_sign(row.statement).hex(): row for row in AuditArchive.objects.all()}
    for said in read.met.keys() - rows.keys():
        find_once(f"The file {read.met[said]} was anchored outside, and what was said of it is gone or was rewritten.")
    for said in rows.keys() - read.met.keys() if told is not None else ():
        if told is not None and str(rows[said].pk) in told.archives:
            find_once(f"What is said of the file {rows[said].file_name} is not what was anchored outside.")
        else:
            read.remark(f"The file {rows[said].file_name}, taken off the log, is not anchored outside yet.")
