"""The provider of a machine without credentials: texts land in a folder where a person can read them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from integrations.errors import Permanent, Transient
from integrations.sms import Found, LostSms, MessageStatus, Sms

NAME = re.compile(r"SB[0-9a-f]{32}")
LANDED = MessageStatus("delivered", status="delivered")


class SandboxSms:
    """Writes `<id>.json` into `folder`; the same attempt gets the same id and the same file.

    Safe for many processes: a file appears whole or not at all. Readable by its owner only, for it names a patient's
    number.
    """

    can_find = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, sms: Sms) -> str:
        message_id = _id_of(sms.attempt_id)
        record = {
            "id": message_id,
            "kind": "sms",
            "to": sms.to,
            "body": sms.body,
            "attempt_id": sms.attempt_id,
            "valid_for_s": sms.valid_for_s,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        try:
            self._write(f"{message_id}.json", json.dumps(record, ensure_ascii=False, indent=1))
        except OSError as error:
            raise Transient("the outbox cannot be written", code=f"sandbox:{error.errno}") from None
        return message_id

    def find(self, lost: LostSms) -> Found | None:
        message_id = _id_of(lost.attempt_id)
        is_there = message_id not in lost.taken and (self._folder / f"{message_id}.json").exists()
        return Found(message_id, LANDED) if is_there else None

    def status(self, message_id: str) -> MessageStatus:
        if not NAME.fullmatch(message_id) or not (self._folder / f"{message_id}.json").exists():
            raise Permanent("no such message", code="sandbox:404")
        return LANDED

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(self._folder / name)


def _id_of(attempt_id: str) -> str:
    return "SB" + hashlib.sha256(attempt_id.encode()).hexdigest()[:32]
