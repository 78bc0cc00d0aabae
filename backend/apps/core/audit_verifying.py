"""Compares the audit log with its seals, and has these compared with the anchors: who rewrote either is found.

Nothing the database says about itself is believed: the digests are worked out anew by a statement of ours, not by the
function that made them, and the seals are held to signatures of a key the database never had.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from backend.apps.core import audit_anchored, audit_files, audit_keys, audit_triggers, merkle, statements
from backend.apps.core.models import AuditSeal

LAST_XID = 2**62
ROWS, SEALS = 25_000, 1_000  # looked at in one statement, about
SECOND = "%Y-%m-%d %H:%M:%S"
TAIL_ROWS = 500_000  # that wait to be sealed and are looked at; the others are once they are sealed
TOLD = 100  # findings that are told; all are counted
Progress = Callable[[int, int], None]  # seals looked at so far, of how many

TEXT = """jsonb_build_array(
    id, extract(epoch FROM "timestamp"), user_id, action, resource_type, resource_id, patient_id, outcome, ip_address,
    user_agent, request_id, detail, xid)::text"""
AGAIN = f"sha256(convert_to({TEXT}, 'UTF8'))"
FOUND = f"""
SELECT coalesce(string_agg(uuid_send(id) || again, ''::bytea ORDER BY xid, id), ''),
       array_agg(id) FILTER (WHERE digest IS DISTINCT FROM again)
FROM (SELECT id, xid, digest, {AGAIN} AS again FROM core_auditlog WHERE xid >= %s AND xid < %s OFFSET 0) AS rows"""  # noqa: S608  # our own names only
TAIL = f"""
SELECT count(*), min("timestamp"), count(*) FILTER (WHERE altered),
       (array_agg(id ORDER BY id) FILTER (WHERE altered))[:{TOLD}]
FROM (SELECT id, "timestamp", digest IS DISTINCT FROM {AGAIN} AS altered FROM core_auditlog WHERE xid >= %s
      ORDER BY xid LIMIT {TAIL_ROWS}) AS rows"""  # noqa: S608  # our own names only
THERE = f"SELECT uuid_send(id) || {AGAIN} FROM core_auditlog WHERE id = ANY(%s)"  # noqa: S608  # our own names only
WHERE_NOW = "SELECT xid FROM core_auditlog WHERE id = %s"


@dataclass(slots=True)
class Result:
    """What a verification found. findings: sentences, the first hundred of `wrong`; remarks: what is no fault.

    until: all that was written before it is as it was sealed; None where something is not. first, last: the seals that
    were looked at; whole: whether these reach the last seal.
    """

    rows: int = 0
    seals: int = 0
    first: int = 0
    last: int = 0
    wrong: int = 0
    findings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    until: datetime | None = None
    whole: bool = True

    @property
    def good(self) -> bool:
        return self.wrong == 0

    def find(self, sentence: str) -> None:
        self.wrong += 1
        if len(self.findings) < TOLD:
            self.findings.append(sentence)

    def find_all(self, sentence: str, many: int, keys: Sequence[Any]) -> None:
        """Find so many of one kind, of which these are named."""
        for key in keys:
            self.find(sentence.format(key))
        self.wrong += many - len(keys)

    def add(self, other: Result) -> None:
        """Add what another look found."""
        self.findings = [*self.findings, *other.findings][:TOLD]
        self.wrong += other.wrong


@dataclass(slots=True)
class Look:
    """What one verification knows on its way. adopted: leaves a person took in after a restore, not yet met.

    late: told each leaf that no seal of its range has and nobody adopted.
    """

    result: Result
    keys: merkle.Keys
    taken: audit_files.Taken
    late: Callable[[bytes], None]
    adopted: Counter[bytes] = field(default_factory=Counter)


def verify(
    *,
    since: datetime | None = None,
    begin: int = 1,
    deadline: float = float("inf"),
    anchors: Path | None = None,
    progress: Progress | None = None,
    goes_on: bool = False,
) -> Result:
    """Verify the log from seal `begin`, or from the seals made since a moment, and what is not sealed yet.

    deadline: of `time.monotonic`; what is left then is left. anchors: a file of lines that were anchored; by default
    the file we write to, where it is one. goes_on: read that from where the last such look left it. Reads in pieces, so
    its memory does not grow with the log.
    """
    look = at_seals(max(begin, _first_since(since) if since else 1), deadline=deadline, progress=progress)
    if look.result.whole:
        _look_at_tail(look)
    result = look.result
    once = result.find if result.whole else _unheard  # a look of several runs finds it in its last one
    told = {"find": result.find, "find_once": once, "remark": result.remarks.append}
    if not audit_anchored.compare(anchors, look.keys, **told, goes_on=goes_on, deadline=deadline):
        result.whole = False
    for fault in audit_triggers.faults() if result.whole else ():  # once in a look, however many runs it takes
        result.find(fault)
    result.until = result.until if result.good and result.whole else None
    return result


def at_seals(
    first: int,
    *,
    deadline: float = float("inf"),
    progress: Progress | None = None,
    late: Callable[[bytes], None] | None = None,
) -> Look:
    """Hold the seals from `first` on to each other and the rows to the seals.

    late: told each leaf that no seal of its range has, and nobody adopted; without it these are findings.
    """
    last = AuditSeal.objects.order_by("-n").values_list("n", flat=True).first() or 0
    result = Result(first=first, last=last)
    for fault in audit_triggers.of_path():  # before anything is worked out, for what is could set it right again
        result.find(fault)
    find = result.find if first <= 1 else _unheard  # once in a look, too
    look = Look(result, audit_keys.known(), audit_files.taken(find), late or partial(_name_late, result))
    for n, leaves in AuditSeal.objects.filter(kind=AuditSeal.Kind.ADOPTED).values_list("n", "leaves").iterator():
        look.adopted.update(merkle.split(look.taken.rest(n, bytes(leaves))))
    _compare_all(look, first, last, deadline, progress)
    return look


def _unheard(_finding: str) -> None:
    """Is told what another run of the same look tells."""


def _first_since(since: datetime) -> int:
    found = AuditSeal.objects.filter(sealed_at__gte=since).order_by("sealed_at", "n").values_list("n", flat=True)
    return found.first() or (AuditSeal.objects.order_by("-n").values_list("n", flat=True).first() or 0) + 1


def _compare_all(look: Look, first: int, last: int, deadline: float, progress: Progress | None) -> None:
    before = AuditSeal.objects.defer("leaves").filter(n__lt=first).order_by("-n").first()
    for batch in _batches(first, last):
        _check_chain(look, before, batch)
        _compare_rows(look, batch)
        before = batch[-1]
        look.result.seals += len(batch)
        if progress:
            progress(before.n, last)
        if time.monotonic() > deadline and before.n < last:
            look.result.last, look.result.whole = before.n, False
            return
    if (before.n if before else 0) < last:  # it was removed while we looked
        look.result.find(f"Seal {last} is gone: it was removed during this look.")


def _batches(first: int, last: int) -> Iterator[list[AuditSeal]]:
    """Yield the seals in their order, some at once, of about ROWS rows."""
    while True:
        sizes = AuditSeal.objects.filter(n__gte=first, n__lte=last).order_by("n").values_list("n", "rows")[:SEALS]
        until, rows = 0, 0
        for n, many in sizes:
            if until and rows + many > ROWS:
                break
            until, rows = n, rows + many
        if not until:
            return
        yield list(AuditSeal.objects.filter(n__gte=first, n__lte=until).order_by("n"))
        first = until + 1


def _check_chain(look: Look, before: AuditSeal | None, batch: Sequence[AuditSeal]) -> None:
    """Hold seals to the one before, to their own hashes and roots, and to their signatures.

    The last signature of each key vouches for all before it, for each hash is taken over the one before: the others are
    looked at only where something is wrong.
    """
    wrong = look.result.wrong
    for seal in batch:
        for name in ("leaves", "root", "prev", "hash", "signature"):
            setattr(seal, name, bytes(getattr(seal, name)))
        _check_seal(look.result.find, before, seal)
        before = seal
    vouching = [seal for seal, after in pairwise(batch) if seal.key_id != after.key_id] + [batch[-1]]
    if look.result.wrong == wrong and not _unsigned(look, vouching):
        return
    for seal in _unsigned(look, batch):
        look.result.find(f"Seal {seal.n} is not signed by a key of ours.")


def _unsigned(look: Look, seals: Sequence[AuditSeal]) -> list[AuditSeal]:
    return [seal for seal in seals if not merkle.is_signed(look.keys, seal.key_id, seal.signature, seal.hash)]


def _check_seal(find: Callable[[str], None], before: AuditSeal | None, seal: AuditSeal) -> None:
    if seal.n != (before.n + 1 if before else 1):
        find(f"The seals between {before.n if before else 0} and {seal.n} are gone.")
    elif seal.prev != (bytes(before.hash) if before else merkle.GENESIS):
        find(f"Seal {seal.n} does not follow the one before it: one of the two was rewritten.")
    elif seal.from_xid != (before.to_xid if before else 0):
        find(f"Seal {seal.n} does not begin where the one before it ended.")
    if merkle.link(seal) != seal.hash:
        find(f"Seal {seal.n} was altered.")
    if merkle.root(seal.leaves) != seal.root or len(seal.leaves) != seal.rows * merkle.LEAF:
        find(f"The root of seal {seal.n} is not that of its rows.")


def _compare_rows(look: Look, batch: Sequence[AuditSeal]) -> None:
    """Hold the rows of these ranges to the seals' leaves; as bytes in one go, one by one only where they differ."""
    begin = batch[0].from_xid if batch[0].n > 1 else -LAST_XID
    leaves, others = found(begin, batch[-1].to_xid)
    for key in others:
        look.result.find(f"The digest of row {key} was altered.")
    look.result.rows += len(leaves) // merkle.LEAF
    sealed = [seal for seal in batch if seal.kind == AuditSeal.Kind.SEALED]
    if leaves != _rest(look, sealed):
        with _nothing_taken_off(look):
            leaves, _ = found(begin, batch[-1].to_xid)
        if leaves != _rest(look, sealed):
            _name_differences(look, sealed, leaves)
    for seal in batch:
        if seal.kind == AuditSeal.Kind.ADOPTED:
            _look_for_adopted(look, seal)


def _rest(look: Look, sealed: Sequence[AuditSeal]) -> bytes:
    return b"".join(look.taken.rest(seal.n, seal.leaves) for seal in sealed)


@contextmanager
def _nothing_taken_off(look: Look) -> Iterator[None]:
    """Let no month be taken off while the body reads anew: one that went from under the look is no finding."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s::bigint)", [audit_files.LOCK])
        look.taken = audit_files.taken(lambda _: None)  # what is wrong with them was told before
        yield


def found(begin: int, until: int) -> tuple[bytes, list[UUID]]:
    """Return the leaves of the rows of these transactions, worked out anew, and the rows whose own digest differs."""
    with statements.cursor(binary=True) as cursor:
        cursor.execute(FOUND, [begin, until])
        leaves, others = cursor.fetchone()
    return bytes(leaves), list(others or ())


def _name_differences(look: Look, sealed: Sequence[AuditSeal], leaves: bytes) -> None:
    there = Counter(merkle.split(leaves))
    of = {leaf: seal.n for seal in sealed for leaf in merkle.split(look.taken.rest(seal.n, seal.leaves))}
    missing = [leaf for leaf in of if not there[leaf]]
    there.subtract(of.keys())
    late = [leaf for leaf, many in there.items() for _ in range(many)]
    altered = {leaf[: merkle.KEY] for leaf in late} & {leaf[: merkle.KEY] for leaf in missing}
    for leaf in missing:
        what = "was altered" if leaf[: merkle.KEY] in altered else "is gone"
        look.result.find(f"Row {_key(leaf)} of seal {of[leaf]} {what}.")
    for leaf in late:
        if look.adopted[leaf]:
            look.adopted[leaf] -= 1
        elif leaf[: merkle.KEY] not in altered:
            look.late(leaf)


def _look_for_adopted(look: Look, seal: AuditSeal) -> None:
    """Look for the rows a person took in with this seal, which may lie in the range of any seal before it."""
    gone = set(_not_there(list(merkle.split(look.taken.rest(seal.n, seal.leaves)))))
    if not gone:
        return
    with _nothing_taken_off(look):
        still = [leaf for leaf in merkle.split(look.taken.rest(seal.n, seal.leaves)) if leaf in gone]
        gone = set(_not_there(still))
    for leaf in gone:
        look.result.find(f"Row {_key(leaf)}, which was adopted after a restore, is gone or was altered.")


def _not_there(leaves: Sequence[bytes]) -> Iterator[bytes]:
    for at in range(0, len(leaves), ROWS):
        some = leaves[at : at + ROWS]
        with statements.cursor(binary=True) as cursor:
            cursor.execute(THERE, [list(map(_key, some))])
            there = {bytes(leaf) for (leaf,) in cursor.fetchall()}
        yield from (leaf for leaf in some if leaf not in there)


def _name_late(result: Result, leaf: bytes) -> None:
    """Find a row that was added late; the range it lies in is asked for only where the finding is told."""
    n = _seal_at(leaf) if result.wrong < TOLD else 0
    result.find(f"Row {_key(leaf)} was added late, into the range of seal {n}.")


def _seal_at(leaf: bytes) -> int:
    with connection.cursor() as cursor:
        cursor.execute(WHERE_NOW, [_key(leaf)])
        (xid,) = cursor.fetchone() or (0,)
    numbers = AuditSeal.objects.values_list("n", flat=True)
    return numbers.filter(to_xid__gt=xid).order_by("to_xid", "n").first() or numbers.order_by("-n").first() or 0


def _key(leaf: bytes) -> UUID:
    return UUID(bytes=bytes(leaf[: merkle.KEY]))


@transaction.atomic
def _look_at_tail(look: Look) -> None:
    """Look at what is not sealed yet: it has to be as it was written, as far as its own digest tells."""
    now = statements.database_now()
    with statements.cursor() as cursor:
        end = AuditSeal.objects.filter(n=look.result.last).values_list("to_xid", flat=True).first()
        cursor.execute(TAIL, [end or 0])
        many, oldest, altered, keys = cursor.fetchone()
    look.result.find_all("Row {}, which is not sealed yet, was altered.", altered, keys or ())
    if many:
        least = "At least " if many == TAIL_ROWS else ""
        look.result.remarks.append(f"{least}{many:,} rows are not sealed yet, the oldest of {oldest:{SECOND}} UTC.")
    if look.result.good:
        look.result.until = oldest if many else now
