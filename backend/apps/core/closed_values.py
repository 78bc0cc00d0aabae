"""Tells of sealed values that do not open; without it a lost key or a changed row would show as errors of nobody's."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from django.db import models

from backend.apps.core import alerts
from backend.apps.core.keyring import CannotOpen

KIND = "sealed_value_closed"
SIGN = "(does not open)"  # in a list that people read
EVERY_S = 60.0  # how often one process writes of one column into its alert, however many values do not open
log = logging.getLogger(__name__)
_told: dict[tuple[str, str], float] = {}


def tell(closed: CannotOpen) -> None:
    """Log which value it is and open the alert of its column; nothing of the value itself is told."""
    log.error("%s of row %s does not open, key %s", closed.column, closed.row or "?", closed.key_id or "none")
    of, now = (closed.column, closed.key_id), time.monotonic()
    if now - _told.get(of, -EVERY_S) < EVERY_S:
        return
    alerts.open_once(cause(closed.column), kind=KIND, sentence=_sentence(closed))
    _told[of] = now


def mark(rows: Iterable[models.Model | None], *names: str) -> None:
    """Put SIGN into the fields that do not open, and tell of them: of rows that are shown as a list and never saved."""
    for row in filter(None, rows):
        for name in names:
            setattr(row, name, read(row, name, SIGN))


def read(row: models.Model, name: str, instead: Any = "") -> Any:
    """Return a field of a row; `instead` where it does not open, which is told of."""
    try:
        return getattr(row, name)
    except CannotOpen as closed:
        tell(closed)
        return instead


def differs(row: models.Model, name: str, value: object) -> bool:
    """Whether a field is to become another value; what does not open can be written anew by any."""
    try:
        return bool(value != getattr(row, name))
    except CannotOpen:
        return True


def clear(columns: Iterable[models.Field]) -> None:  # type: ignore[type-arg]
    """Resolve the alerts of columns that were looked through and open everywhere."""
    names = [f"{column.model._meta.label}.{column.name}" for column in columns]
    alerts.clear(*map(cause, names))
    for of in [of for of in _told if of[0] in names]:
        del _told[of]


def cause(column: str) -> str:
    return f"sealed value:{column}"


def refusal(closed: CannotOpen) -> str:
    """Return the sentence for who asked for one row."""
    under = f"it is sealed under the key {closed.key_id!r}" if closed.key_id else "it is not sealed as it should be"
    return f"The field {closed.field!r} of this row cannot be read: {under}. Whoever runs this was told."


def _sentence(closed: CannotOpen) -> str:
    under = f"key {closed.key_id}" if closed.key_id else "not sealed"
    return f"{closed.column} does not open ({under}), row {closed.row or '?'} first. See `manage keys check`."
