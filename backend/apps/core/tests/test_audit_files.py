"""Holds that a file of the audit log is written and read in little memory, and that a damaged one is named so."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from backend.apps.core import audit_files, merkle

ROWS = [json.dumps(["row", n]) for n in range(200)]


def test_a_root_of_rows_given_one_by_one_is_that_of_all_at_once() -> None:
    tree, level = merkle.Tree(), list[bytes]()
    for n in range(130):
        assert (tree.root(), tree.rows) == (merkle.climb(level), n)
        digest = sha256(f"{n}".encode()).digest()
        tree.add(digest)
        level.append(sha256(b"\0" + digest).digest())


def test_a_long_file_needs_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "audit-2017-03.jsonl.gz"
    tracemalloc.start()
    try:
        written = audit_files.write(path, "2017-03", (f'["row", {n}]' for n in range(60_000)))
        assert audit_files.read(path) == written
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()


def foot(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """Return what writes the last line of a file anew."""

    def damage(data: bytes) -> bytes:
        *lines, last = gzip.decompress(data).splitlines(keepends=True)
        said = json.loads(last)
        made = change(said)
        return gzip.compress(b"".join(lines) + json.dumps(said if made is None else made).encode() + b"\n")

    return damage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda _: b"", "damaged or cut off"),
        (lambda _: b"no gzip at all", "damaged or cut off"),
        (lambda data: data[:-200], "damaged or cut off"),
        (lambda data: data[:300] + b"\0\0\0\0" + data[304:], "damaged or cut off"),
        (lambda data: data[:-8] + b"\0\0\0\0" + data[-4:], "damaged or cut off"),
        (lambda _: gzip.compress(b"\xff\xfe\n" * 3), "damaged or cut off"),
        (lambda _: gzip.compress(b"[" * 100_000), "damaged or cut off"),
        (lambda data: gzip.compress(b"".join(gzip.decompress(data).splitlines(keepends=True)[:-1])), "no archive"),
        (foot(lambda said: [said]), "no archive"),
        (foot(lambda said: said.pop("rows") and None), "no archive"),
        (foot(lambda said: said.update(rows=199)), "not those that were signed"),
        (foot(lambda said: said.pop("signature") and None), "not signed by a key of ours"),
        (foot(lambda said: said.update(signature="no digits")), "not signed by a key of ours"),
        (foot(lambda said: said.update(signature=[1])), "not signed by a key of ours"),
        (foot(lambda said: said.update(key=None)), "not signed by a key of ours"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_with_a_file_is_a_sentence(
    damage: Callable[[bytes], bytes], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "audit-2017-03.jsonl.gz"
    audit_files.write(path, "2017-03", ROWS)
    assert audit_files.read(path).rows == len(ROWS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(audit_files.BadFile, match=told):
        audit_files.read(path)
