"""Holds that a folder on a disk is as safe as a server."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from integrations.clearinghouse.folder import FolderClearinghouse, rename_new
from integrations.clearinghouse.port import Placed, Staged
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient
from tests.integrations.clearinghouse.staged_contract import NAME, PART, StagedContract, Stand


class TestFolder(StagedContract):
    code = "folder"

    @pytest.fixture
    def stand(self, tmp_path: Path) -> Stand:  # type: ignore[override]  # nothing to close
        drop, pickup = tmp_path / "to", tmp_path / "from"
        drop.mkdir()
        pickup.mkdir()
        return Stand(FolderClearinghouse(drop_folder=str(drop), pickup_folder=str(pickup)), drop, pickup)

    @pytest.fixture
    def lost(self, tmp_path: Path) -> AbstractContextManager[Staged]:
        nowhere = str(tmp_path / "nowhere")
        return nullcontext(FolderClearinghouse(drop_folder=nowhere, pickup_folder=nowhere))

    def test_a_part_is_never_written_through_a_link(self, stand: Stand, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").write_bytes(b"precious")
        (stand.drop / PART).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(Permanent) as raised:
            stand.transport.put_part(NAME, b"other")
        assert raised.value.code == "folder:kind"
        assert (tmp_path / "elsewhere").read_bytes() == b"precious"

    def test_a_pipe_is_neither_listed_nor_waited_for(self, stand: Stand) -> None:
        os.mkfifo(stand.pickup / "pipe")
        assert stand.transport.listing() == []
        with pytest.raises(Permanent):
            stand.transport.fetch("pipe", 10)

    @pytest.mark.parametrize("is_read", [False, True])
    def test_a_pipe_in_the_place_of_a_part_is_neither_waited_for_nor_written_to(
        self, stand: Stand, is_read: bool
    ) -> None:
        os.mkfifo(stand.drop / PART)
        reader = os.open(stand.drop / PART, os.O_RDONLY | os.O_NONBLOCK) if is_read else None
        with pytest.raises(Permanent) as raised:
            stand.transport.put_part(NAME, b"claims")
        assert raised.value.code == "folder:kind"
        if reader is not None:
            assert os.read(reader, 10) == b""
            os.close(reader)

    def test_a_part_survives_a_crash_of_this_machine(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        synced, sync = [], os.fsync

        def fsync(descriptor: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        stand.transport.put_part(NAME, b"claims")
        assert synced == [str(stand.drop / PART), str(stand.drop)], "the part, and then that it is there"

    def test_a_folder_on_which_nothing_is_mounted_proves_nothing(self, stand: Stand, tmp_path: Path) -> None:
        at = stand.transport.put_part(NAME, b"claims")
        stand.drop.rename(tmp_path / "mounted elsewhere")
        stand.drop.mkdir()
        with pytest.raises(Transient) as raised:
            stand.transport.state(NAME, at)
        assert raised.value.code == "folder:elsewhere"

    def test_another_number_of_the_same_disk_is_no_other_place(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not os.statvfs(stand.drop).f_fsid:
            pytest.skip("this disk has no identity of its own")
        at, fstat = stand.transport.put_part(NAME, b"claims"), os.fstat

        def remounted(descriptor: int) -> os.stat_result:
            told = fstat(descriptor)
            return os.stat_result((*told[:2], told.st_dev + 1, *told[3:10]))

        stand.transport.rename(NAME)
        monkeypatch.setattr(os, "fstat", remounted)
        assert stand.transport.state(NAME, at) is Placed.FINAL

    @pytest.mark.parametrize("swapped", ["to", "from", "."])
    def test_a_link_put_in_the_way_leads_to_no_file_of_others(self, tmp_path: Path, swapped: str) -> None:
        others, ours = tmp_path / "others", tmp_path / "root" / "partner"
        for folder in (ours / "to", ours / "from", others / "to", others / "from"):
            folder.mkdir(parents=True)
        root = str(tmp_path / "root")
        door = FolderClearinghouse(drop_folder=str(ours / "to"), pickup_folder=str(ours / "from"), root=root)
        door.put_part(NAME, b"claims")
        (others / "from" / NAME).write_bytes(b"precious")
        (others / "to" / PART).write_bytes(b"precious")
        (ours / swapped).rename(tmp_path / "away")
        (ours / swapped).symlink_to(others / swapped)
        sending = (door.probe, lambda: door.put_part(NAME, b"x"), lambda: door.state(NAME), lambda: door.rename(NAME))
        fetching = (door.probe, door.listing, lambda: door.fetch(NAME, 10), lambda: door.remove(NAME))
        for call in (*(sending if swapped != "from" else ()), *(fetching if swapped != "to" else ())):
            with pytest.raises(IntegrationError) as raised:
                call()
            assert raised.value.code in ("folder:missing", "folder:lost")
        assert [path.read_bytes() for path in (others / "from" / NAME, others / "to" / PART)] == [b"precious"] * 2

    def test_others_do_not_read_our_files(self, stand: Stand) -> None:
        stand.transport.put_part(NAME, b"claims")
        assert stat.S_IMODE((stand.drop / PART).stat().st_mode) & stat.S_IRWXO == 0

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_only_be_read_needs_a_person(self, stand: Stand) -> None:
        stand.drop.chmod(0o500)
        with pytest.raises(Misconfigured) as raised:
            stand.transport.put_part(NAME, b"claims")
        assert raised.value.code == "folder:denied"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_mount_that_cannot_refuse_by_itself_is_looked_at_first(tmp_path: Path, code: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_new(source, target, call=lambda *_: code)
    assert target.read_bytes() == b"old"
    target.unlink()
    rename_new(source, target, call=lambda *_: code)
    assert (target.read_bytes(), source.exists()) == (b"new", False)
