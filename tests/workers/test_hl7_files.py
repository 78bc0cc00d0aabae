"""Takes files of every kind apart: each message comes out as it is in the file, however large the file or the chunk."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from pathlib import Path

import pytest

from tests.workers.wire import framed, oru
from workers import hl7_files

HEAD, TAIL = b"FHS|^~\\&\rBHS|^~\\&\r", b"BTS|{}\rFTS|1\r"


def read(path: Path) -> tuple[list[bytes], list[str]]:
    """Return the messages of a file or folder, and what was odd about it."""
    told: list[str] = []
    return [raw for source in hl7_files.sources(path) for raw in hl7_files.messages(source, told.append)], told


def saved(folder: Path, content: bytes, name: str = "file.hl7") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file for one that does not fit into memory, and cut it everywhere."""
    monkeypatch.setattr(hl7_files, "WHOLE", 7)
    monkeypatch.setattr(hl7_files, "CHUNK", 5)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_batch_cut_anywhere_gives_the_same_messages_as_in_one_piece(tmp_path: Path, end: bytes) -> None:
    raws = [oru(f"{number}").replace(b"\r", end) for number in range(4)]
    whole = HEAD.replace(b"\r", end) + b"".join(raws) + TAIL.replace(b"{}", b"4").replace(b"\r", end)
    assert read(saved(tmp_path, whole)) == (raws, [])


@pytest.mark.usefixtures("small_chunks")
def test_counts_are_checked_in_a_batch_that_is_never_whole(tmp_path: Path) -> None:
    whole = HEAD + oru("1") + oru("2") + TAIL.replace(b"{}", b"3")
    assert read(saved(tmp_path, whole)) == ([oru("1"), oru("2")], ["BTS 1: counts 3 messages, there are 2"])


@pytest.mark.usefixtures("small_chunks")
def test_a_message_that_is_too_long_is_left_out_and_told_and_the_next_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hl7_files, "LARGEST", 500)
    whole = oru("1") + oru("2", filler=b"MSH|" * 300) + oru("3")
    raws, told = read(saved(tmp_path, whole))
    assert raws == [oru("1"), oru("3")]
    assert told == ["message 2 is larger than 0 MB and was left out"]


def test_a_large_file_is_never_in_memory_as_a_whole() -> None:
    one = oru("1", filler=b"x" * 60_000)

    class Large(io.BytesIO):
        """A file of 1,200 such messages that is made while it is read."""

        left = 1_200

        def read(self, size: int | None = -1) -> bytes:
            rest = super().read(size)
            if rest or not self.left:
                return rest
            self.left -= 10
            self.__init__(one * 10)  # type: ignore[misc]
            return super().read(size)

    source = hl7_files.Source("large.hl7", 1, Large)
    tracemalloc.start()
    count = sum(1 for _ in hl7_files.messages(source, print))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1_200  # 72 MB
    assert peak < 20 * 2**20


def test_frames_saved_from_the_wire_come_out_without_their_frame(tmp_path: Path) -> None:
    assert read(saved(tmp_path, b"\r\n" + framed(oru("1"), oru("2")))) == ([oru("1"), oru("2")], [])
    with pytest.raises(hl7_files.Skip, match="breaks off"):
        read(saved(tmp_path, framed(oru("1"))[:-4]))


def test_what_stands_outside_of_every_frame_is_told(tmp_path: Path) -> None:
    raws, told = read(saved(tmp_path, framed(oru("1")) + b"\r\nMSH|\r\n" + framed(oru("2"))))
    assert raws == [oru("1"), oru("2")]
    assert told == ["4 bytes stand outside of any whole message and were left out"]


def test_a_batch_in_a_frame_falls_apart_as_at_the_door(tmp_path: Path) -> None:
    whole = HEAD + oru("1") + oru("2") + TAIL.replace(b"{}", b"3")
    raws, told = read(saved(tmp_path, framed(whole, oru("3"), oru("4") + oru("5"), b"x")))
    assert raws == [*map(oru, "12345"), b"x"]
    assert told == ["BTS 1: counts 3 messages, there are 2"]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("before", [b" ", b"\t\r\n ", b"\xef\xbb\xbf \r\n"])
def test_blanks_before_the_first_message_of_a_large_file_cost_nothing(tmp_path: Path, before: bytes) -> None:
    assert read(saved(tmp_path, before + oru("1") + oru("2"))) == ([oru("1"), oru("2")], [])


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hl7_files, "BEFORE_RATIO", 1000)
    with pytest.raises(hl7_files.Skip, match="come out of it"):
        read(saved(tmp_path, gzip.compress(b"\n" * 1_000_000), "bomb.gz"))


def test_hidden_files_and_folders_are_left_out_and_the_rest_comes_in_order(tmp_path: Path) -> None:
    for name in ("b/2.hl7", "a.hl7", ".git/x.hl7", "b/.y.hl7"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(oru(name))
    names = [source.name.partition("/")[2] for source in hl7_files.sources(tmp_path)]
    assert names == ["a.hl7", "b/2.hl7"]


def test_an_empty_file_holds_nothing_and_a_file_of_something_else_is_one_message(tmp_path: Path) -> None:
    assert read(saved(tmp_path, b" \r\n")) == ([], [])
    assert read(saved(tmp_path, b"\x89PNG")) == ([b"\x89PNG"], [])
