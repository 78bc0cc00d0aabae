"""Holds the fake and the sandbox to the port's contract, and each to what it alone promises."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from integrations.errors import Permanent, Transient, Unknown
from integrations.sms import Sms
from integrations.sms.fake import FakeSms
from integrations.sms.sandbox import SandboxSms
from tests.integrations.sms.contract import BODY, TO, SmsContract


class TestFake(SmsContract):
    @pytest.fixture
    def transport(self) -> FakeSms:
        self.fake = FakeSms()
        return self.fake

    def seen(self) -> list[tuple[str, str, str]]:
        return [(sms.to, sms.body, sms.attempt_id) for sms in self.fake.sent]

    def take_away(self) -> None:
        self.fake.fail_next(Transient("not reached", code="fake:unreached"))

    def test_scripted_failures_come_in_order_and_then_end(self, transport: FakeSms) -> None:
        transport.fail_next(Permanent("no", code="fake:1"), Unknown("lost", code="fake:2"))
        with pytest.raises(Permanent):
            transport.send(Sms(TO, BODY, "a"))
        with pytest.raises(Unknown):
            transport.send(Sms(TO, BODY, "b"))
        transport.send(Sms(TO, BODY, "c"))
        assert [sms.attempt_id for sms in transport.sent] == ["b", "c"], "an unknown one did arrive"


class TestSandbox(SmsContract):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> SandboxSms:
        self.folder = tmp_path / "outbox" / "sms"
        return SandboxSms(self.folder)

    def seen(self) -> list[tuple[str, str, str]]:
        records = [json.loads(path.read_text()) for path in sorted(self.folder.iterdir())]
        return [(record["to"], record["body"], record["attempt_id"]) for record in records]

    def take_away(self) -> None:
        self.folder.parent.write_text("a file where the folder should be")

    def test_the_same_attempt_is_the_same_message(self, transport: SandboxSms) -> None:
        assert transport.send(Sms(TO, BODY, "a")) == transport.send(Sms(TO, BODY, "a"))
        assert len(self.seen()) == 1

    def test_only_the_owner_can_read_it(self, transport: SandboxSms) -> None:
        name = transport.send(Sms(TO, BODY, "a"))
        assert stat.S_IMODE((self.folder / f"{name}.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(self.folder.stat().st_mode) == 0o700

    def test_many_processes_may_write_at_once(self, transport: SandboxSms) -> None:
        with multiprocessing.get_context("spawn").Pool(3) as pool:
            names = pool.starmap(send_some, [(self.folder, process) for process in range(3)])
        assert len(self.seen()) == 3 * 9 + 2, "two processes shared one attempt"
        assert all((self.folder / f"{name}.json").exists() for some in names for name in some)
        assert not list(self.folder.glob(".*")), "no drafts left"


def send_some(folder: Path, process: int) -> list[str]:
    transport = SandboxSms(folder)
    attempts = [f"{process}.{number}" for number in range(9)] + [f"shared by {process // 2}"]
    return [transport.send(Sms(TO, BODY, attempt)) for attempt in attempts]
