"""What every staged transport must do, whoever is behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.clearinghouse.port import ADDRESS_DIGITS, Placed, Staged
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown

NAME = "000000001.x12"
PART = f".{NAME}.part"
CONTENT = b"ISA*00*" + bytes(range(256)) * 500
REFUSED_NAMES = ["", " ", "..", ".hidden", "../up", "a/b", "a\\b", "a\nb", "a\x00b", "a\u202eb", "x" * 201]


@dataclass(frozen=True)
class Stand:
    """A transport and the two folders behind it, as the partner sees them."""

    transport: Staged
    drop: Path
    pickup: Path


class StagedContract:
    """A subclass gives `stand`, and `lost` which is the same where the folders are not there."""

    code: str

    @pytest.fixture
    def stand(self) -> Iterator[Stand]:
        raise NotImplementedError

    @pytest.fixture
    def lost(self) -> AbstractContextManager[Staged]:
        raise NotImplementedError

    def test_a_file_is_out_of_sight_until_it_is_renamed_and_then_whole(self, stand: Stand) -> None:
        assert stand.transport.state(NAME) is Placed.NEITHER
        stand.transport.put_part(NAME, CONTENT)
        assert os.listdir(stand.drop) == [PART]
        assert stand.transport.state(NAME) is Placed.PART
        stand.transport.rename(NAME)
        assert os.listdir(stand.drop) == [NAME]
        assert stand.transport.state(NAME) is Placed.FINAL
        assert (stand.drop / NAME).read_bytes() == CONTENT

    def test_a_part_replaces_what_an_earlier_try_left_also_if_that_was_longer(self, stand: Stand) -> None:
        stand.transport.put_part(NAME, CONTENT * 2)
        stand.transport.put_part(NAME, CONTENT)
        assert (stand.drop / PART).read_bytes() == CONTENT

    def test_a_file_that_is_there_is_not_replaced(self, stand: Stand) -> None:
        (stand.drop / NAME).write_bytes(b"sent before")
        stand.transport.put_part(NAME, CONTENT)
        with pytest.raises(Permanent) as raised:
            stand.transport.rename(NAME)
        assert raised.value.code == f"{self.code}:exists"
        assert (stand.drop / NAME).read_bytes() == b"sent before"
        assert stand.transport.state(NAME) is Placed.BOTH, "which is no proof of our rename"

    def test_only_where_a_part_was_put_is_seen_what_became_of_it(self, stand: Stand) -> None:
        at = stand.transport.put_part(NAME, CONTENT)
        moved = "0" * ADDRESS_DIGITS + at[ADDRESS_DIGITS:]
        behind = at[:ADDRESS_DIGITS] + "0" * len(at[ADDRESS_DIGITS:])
        assert len(at) == 64
        assert [stand.transport.state(NAME, place) for place in (at, behind, "")] == [Placed.PART] * 3
        with pytest.raises(Permanent) as raised:
            stand.transport.state(NAME, moved)
        assert raised.value.code == f"{self.code}:moved"
        for gone in (lambda: (stand.drop / PART).rename(stand.drop / NAME), (stand.drop / NAME).unlink):
            gone()
            assert stand.transport.state(NAME, at) is stand.transport.state(NAME)
            for elsewhere in (moved, behind):
                with pytest.raises(IntegrationError) as refused:
                    stand.transport.state(NAME, elsewhere)
                tells_nothing(refused.value)

    def test_a_part_that_is_gone_may_have_been_renamed(self, stand: Stand) -> None:
        with pytest.raises(Unknown) as raised:
            stand.transport.rename(NAME)
        assert raised.value.code == f"{self.code}:lost"
        assert stand.transport.state(NAME) is Placed.NEITHER, "the caller looks"

    def test_an_empty_file_is_a_file(self, stand: Stand) -> None:
        stand.transport.put_part(NAME, b"")
        assert stand.transport.state(NAME) is Placed.PART
        (stand.pickup / "empty").touch()
        assert stand.transport.fetch("empty", 10) == b""

    def test_no_name_leads_out_of_the_folder(self, stand: Stand) -> None:
        for name in REFUSED_NAMES:
            for refused in (
                lambda name=name: stand.transport.put_part(name, CONTENT),
                lambda name=name: stand.transport.state(name),
                lambda name=name: stand.transport.rename(name),
                lambda name=name: stand.transport.fetch(name, 10),
                lambda name=name: stand.transport.remove(name),
            ):
                with pytest.raises(Permanent) as raised:
                    refused()
                assert raised.value.code == f"{self.code}:name"
        assert os.listdir(stand.drop) == []

    def test_only_plain_files_with_plain_names_are_listed_the_oldest_first(self, stand: Stand) -> None:
        for age, name in enumerate(["new.835", "older.999", "ümlaut.txt", "oldest.ta1"]):
            (stand.pickup / name).write_bytes(b"1234567"[: age + 1])
            os.utime(stand.pickup / name, (1_700_000_000 - age, 1_700_000_000 - age))
        (stand.pickup / ".hidden").touch()
        (stand.pickup / "two\nlines").touch()
        (stand.pickup / "folder").mkdir()
        (stand.pickup / "link").symlink_to("/etc/hostname")
        files = stand.transport.listing()
        assert [(file.name, file.size) for file in files] == [
            ("oldest.ta1", 4),
            ("ümlaut.txt", 3),
            ("older.999", 2),
            ("new.835", 1),
        ]
        assert files[-1].modified_at == datetime.fromtimestamp(1_700_000_000, UTC)

    def test_a_file_comes_back_whole_or_not_at_all(self, stand: Stand) -> None:
        (stand.pickup / "answer").write_bytes(CONTENT)
        assert stand.transport.fetch("answer", len(CONTENT)) == CONTENT
        with pytest.raises(Permanent) as raised:
            stand.transport.fetch("answer", len(CONTENT) - 1)
        assert raised.value.code == f"{self.code}:too_big"

    def test_what_is_no_plain_file_is_not_fetched(self, stand: Stand) -> None:
        (stand.pickup / "link").symlink_to("/etc/hostname")
        (stand.pickup / "folder").mkdir()
        for name in ("link", "folder"):
            with pytest.raises(Permanent) as raised:
                stand.transport.fetch(name, 1000)
            assert raised.value.code == f"{self.code}:kind"

    def test_a_file_that_is_gone_is_no_longer_fetched_and_may_be_removed_again(self, stand: Stand) -> None:
        (stand.pickup / "answer").write_bytes(CONTENT)
        for _ in range(2):
            stand.transport.remove("answer")
        assert os.listdir(stand.pickup) == []
        with pytest.raises(Transient) as raised:
            stand.transport.fetch("answer", 10)
        assert raised.value.code == f"{self.code}:gone"

    def test_the_button_of_an_operator_changes_nothing(self, stand: Stand) -> None:
        stand.transport.probe()
        assert (os.listdir(stand.drop), os.listdir(stand.pickup)) == ([], [])

    def test_folders_that_are_not_there_need_a_person_and_prove_nothing(
        self, lost: AbstractContextManager[Staged]
    ) -> None:
        with lost as transport:
            for call in (
                transport.probe,
                transport.listing,
                lambda: transport.put_part(NAME, CONTENT),
                lambda: transport.state(NAME),
            ):
                with pytest.raises(Misconfigured) as raised:
                    call()
                assert raised.value.code == f"{self.code}:missing"
                tells_nothing(raised.value)


def tells_nothing(error: IntegrationError) -> None:
    """A message has no path, no name and no words of the server, and neither has what would be logged with it."""
    assert "/" not in str(error)
    assert NAME not in str(error)
    assert "nowhere" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
