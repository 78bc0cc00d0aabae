"""Holds the fake and the sandbox to the port's contract, and each to what it alone promises."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from integrations.email import Email
from integrations.email.fake import FakeEmail
from integrations.email.sandbox import SandboxEmail
from integrations.errors import Transient, Unknown
from tests.integrations.email.contract import MAIL, EmailContract, Files, Seen


def as_seen(mail: Email) -> Seen:
    whole = (mail.to, mail.subject, mail.text, mail.html, mail.attempt_id)
    return Seen(*whole, *unsubscribes(mail.all_headers()), mail.reply_to)


def unsubscribes(headers: Mapping[str, str]) -> tuple[str, str]:
    return headers.get("List-Unsubscribe", ""), headers.get("List-Unsubscribe-Post", "")


class TestFake(EmailContract):
    @pytest.fixture
    def transport(self) -> FakeEmail:
        self.fake = FakeEmail()
        return self.fake

    def seen(self) -> list[Seen]:
        return [as_seen(mail) for mail in self.fake.sent]

    def files(self) -> Files:
        [mail] = self.fake.sent
        return [(file.name, file.content_type.partition(";")[0], file.content) for file in mail.attachments]

    def take_away(self) -> None:
        self.fake.fail_next(Transient("not reached", code="fake:unreached"))

    def test_an_unknown_failure_takes_the_mail(self, transport: FakeEmail) -> None:
        transport.fail_next(Unknown("lost", code="fake:1"))
        with pytest.raises(Unknown):
            transport.send(MAIL)
        assert transport.sent == [MAIL]


class TestSandbox(EmailContract):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> SandboxEmail:
        self.folder = tmp_path / "outbox" / "email"
        return SandboxEmail(self.folder)

    def seen(self) -> list[Seen]:
        records = [json.loads(path.read_text()) for path in sorted(self.folder.iterdir())]
        keys = ("to", "subject", "text", "html", "attempt_id")
        return [
            Seen(*(record[key] for key in keys), *unsubscribes(record["headers"]), record["reply_to"])
            for record in records
        ]

    def files(self) -> Files:
        [path] = self.folder.iterdir()
        return [
            (file["name"], file["content_type"].partition(";")[0], base64.b64decode(file["content_base64"]))
            for file in json.loads(path.read_text())["attachments"]
        ]

    def take_away(self) -> None:
        self.folder.parent.write_text("a file where the folder should be")

    def test_the_same_attempt_is_the_same_mail(self, transport: SandboxEmail) -> None:
        assert transport.send(MAIL) == transport.send(MAIL)
        assert len(self.seen()) == 1

    def test_only_the_owner_can_read_it(self, transport: SandboxEmail) -> None:
        name = transport.send(MAIL)
        assert stat.S_IMODE((self.folder / f"{name}.json").stat().st_mode) == 0o600
