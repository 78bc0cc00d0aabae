"""Tells which folders of partners are the same place; else one partner's file would be taken as another's answer."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from django.core.exceptions import ValidationError

HOME = PurePath()  # where the login leads
SAME_ANSWERS = "takes its answers from there: whoever looks first would take those of the other."
OURS_AS_ANSWERS = "Our files would be taken as answers there: one of the two folders is that of the partner"


def are_apart(outbound: str, inbound: str) -> bool:
    """Whether neither folder is the other or in it; where the login leads is a place of its own."""
    ours, theirs = _folder(outbound), _folder(inbound)
    if HOME in (ours, theirs):
        return ours != theirs
    return not (ours.is_relative_to(theirs) or theirs.is_relative_to(ours))


def refuse_sharing(row: Any, others: Iterable[Any]) -> None:
    """Refuse a partner whose answers lie where another one's do, or where another one's files go, or the other way.

    others: partners in use. They are told apart by the form of their addresses, whatever links are there.

    Raises:
        ValidationError: it names the other partner.
    """
    is_api = row.transport == "https"
    for other in (one for one in others if _door(one) == _door(row)):
        if is_api or _folder(row.inbound_folder) == _folder(other.inbound_folder):
            raise ValidationError({"base_url" if is_api else "inbound_folder": f"{other.name} {SAME_ANSWERS}"})
        if not are_apart(row.outbound_folder, other.inbound_folder):
            raise ValidationError({"outbound_folder": f"{OURS_AS_ANSWERS} {other.name}."})
        if not are_apart(other.outbound_folder, row.inbound_folder):
            raise ValidationError({"inbound_folder": f"{OURS_AS_ANSWERS} {other.name}."})


def _door(row: Any) -> tuple[Any, ...]:
    """Return who is spoken to, and as whom: folders behind two doors have nothing in common."""
    if row.transport == "https":
        return row.transport, row.base_url.rstrip("/"), row.secret_name
    if row.transport == "sftp":
        return row.transport, row.host.strip("[]").lower(), row.port, row.username
    return (row.transport,)


def _folder(folder: str) -> PurePath:
    return PurePath(posixpath.normpath(f"/{folder}").lstrip("/"))
