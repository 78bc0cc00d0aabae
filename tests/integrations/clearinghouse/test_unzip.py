"""Holds that an archive gives its files, or is refused before it fills the memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile

import pytest

from integrations.clearinghouse.unzip import Limits, is_zip, members
from integrations.errors import Permanent

MEGABYTE = 1024 * 1024


def packed(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return whole.getvalue()


def code_of(content: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(Permanent) as raised:
        list(members(content, limits))
    return raised.value.code


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_out_one_by_one_in_their_order(method: int) -> None:
    archive = packed(("b.835", b"ISA*1~"), ("folder/", b""), ("a.999", b"ISA*2~"), ("empty", b""), method=method)
    assert is_zip(archive)
    assert list(members(archive)) == [("b.835", b"ISA*1~"), ("a.999", b"ISA*2~"), ("empty", b"")]


def test_an_empty_archive_has_no_files_and_x12_is_no_archive() -> None:
    assert list(members(packed())) == []
    assert is_zip(packed())
    assert not is_zip(b"ISA*00*")


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "folder/file", "a\\b", ".hidden"])
def test_an_archive_with_paths_is_refused(name: str) -> None:
    assert code_of(packed((name, b"x"))) == "zip:path"


def test_an_archive_in_an_archive_is_refused() -> None:
    assert code_of(packed(("inner.zip", packed(("a", b"x"))))) == "zip:nested"


def test_an_encrypted_archive_is_refused() -> None:
    archive = bytearray(packed(("a", b"secret")))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.index(signature) + place] |= 1
    assert code_of(bytes(archive)) == "zip:encrypted"


def test_an_unusual_method_is_refused() -> None:
    assert code_of(packed(("a", b"x" * 1000), method=zipfile.ZIP_LZMA)) == "zip:broken"


def test_more_files_or_bytes_than_allowed_are_refused() -> None:
    three = packed(*[(f"{number}", b"12345") for number in range(3)])
    assert code_of(three, Limits(files=2)) == "zip:files"
    assert code_of(three, Limits(total_bytes=14)) == "zip:size"
    assert len(list(members(three, Limits(files=3, total_bytes=15)))) == 3


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = packed(("zeros", bytes(60 * MEGABYTE)))
    tracemalloc.start()
    try:
        assert code_of(bomb) == "zip:ratio"
        assert tracemalloc.get_traced_memory()[1] < 5 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_directory_that_tells_less_than_comes_out_is_refused() -> None:
    archive = bytearray(packed(("zeros", bytes(10 * MEGABYTE))))
    place = archive.index(b"PK\x01\x02") + 24
    archive[place : place + 4] = struct.pack("<I", 1000)
    assert code_of(bytes(archive)) == "zip:broken"


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_what_breaks_off_or_is_damaged_is_refused(place: float) -> None:
    archive = packed(("a.835", bytes(range(256)) * 40))
    assert code_of(archive[: int(len(archive) * place)]) == "zip:broken"
    damaged = bytearray(archive)
    damaged[60] ^= 0xFF
    assert code_of(bytes(damaged)) == "zip:broken"
