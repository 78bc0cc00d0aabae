"""Reads JSON bodies so that hostile ones end in 400, never in 500."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

DEEPEST = 64
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')


class TooLarge(APIException):
    status_code = 413
    default_detail = "The body is too large."
    default_code = "too_large"


class StrictJSONParser(JSONParser):
    """JSON by orjson: no NaN, no lone surrogates, no NUL characters, no name twice, at most 64 levels deep."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)  # Django checks the length only where it reads the body itself
        if len(raw) > most:
            raise TooLarge
        if raw.count(b"[") + raw.count(b"{") > DEEPEST and _depth(raw) > DEEPEST:
            raise ParseError("The JSON is nested too deeply.")
        if b"\\u0000" in raw or b"\x00" in raw:
            raise ParseError("A NUL character is not allowed.")
        try:
            told = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise ParseError("The body is not valid JSON.") from error
        members = _members(told)
        if raw.count(b":") != members and STRING.sub(b"", raw).count(b":") != members:
            raise ParseError("A name stands twice in one object.")
        return told


def _members(told: Any) -> int:
    """Return how many members all objects of a JSON text have; of two with one name only the last was kept."""
    ahead, members = [told], 0
    while ahead:
        one = ahead.pop()
        if isinstance(one, dict):
            members += len(one)
            ahead.extend(inner for inner in one.values() if isinstance(inner, dict | list))
        elif isinstance(one, list):
            ahead.extend(inner for inner in one if isinstance(inner, dict | list))
    return members


def _depth(raw: bytes) -> int:
    """Return how deep brackets nest, strings counted too: an upper bound is all that is needed."""
    deepest = level = 0
    for byte in raw:
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest
