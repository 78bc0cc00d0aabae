"""The provider of a machine without credentials: mails land in a folder where a person can read them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from integrations.email import Attachment, Email, Found, LostEmail
from integrations.errors import Transient


class SandboxEmail:
    """Writes `<id>.json` into `folder`; the same attempt gets the same id and the same file.

    Safe for many processes: a file appears whole or not at all. Readable by its owner only, for it names a patient's
    address.
    """

    can_find = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, email: Email) -> str:
        message_id = _id_of(email.attempt_id)
        record = {
            "id": message_id,
            "kind": "email",
            "to": email.to,
            "subject": email.subject,
            "text": email.text,
            "html": email.html,
            "headers": email.all_headers(),
            "reply_to": email.reply_to,
            "attachments": [_as_record(file) for file in email.attachments],
            "attempt_id": email.attempt_id,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        try:
            self._write(f"{message_id}.json", json.dumps(record, ensure_ascii=False, indent=1))
        except OSError as error:
            raise Transient("the outbox cannot be written", code=f"sandbox:{error.errno}") from None
        return message_id

    def find(self, lost: LostEmail) -> Found | None:
        message_id = _id_of(lost.attempt_id)
        return Found(message_id, "delivered") if (self._folder / f"{message_id}.json").exists() else None

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(self._folder / name)


def _id_of(attempt_id: str) -> str:
    return "EB" + hashlib.sha256(attempt_id.encode()).hexdigest()[:32]


def _as_record(file: Attachment) -> dict[str, str]:
    content = base64.b64encode(file.content).decode()
    return {"name": file.name, "content_type": file.content_type, "content_base64": content}
