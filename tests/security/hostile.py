"""What an attacker sends and what no answer may tell; without it each test would be hostile in its own small way."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.http import HttpResponse
from rest_framework.test import APIClient

HUGE = 10**400
LONG = "x" * 70_000

VALUES: list[Any] = [
    "", LONG, "'; DROP TABLE x; --\u202e\u0300\ufeff<script>", "0000-00-00", "0001-01-01",
    "9999-12-31T23:59:59-23:59", "NaN", "1e400", "00000000-0000-0000-0000-000000000000",
    -1, 1.5, 2**63, HUGE, True, None, ["x" * 300], [{"code": None}], {"a": {"b": [1]}}, {"a": "x" * 5000},
]  # fmt: skip

TEXTS = [
    "", "\x00", LONG[:5000], "0000-00-00", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", str(2**63), str(HUGE), "NaN", "'\"%_\\[]\u202e\ufeff",
]  # fmt: skip

BODIES: dict[str, bytes] = {
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "cut off": b'{"a": ',
    "not JSON": b"\xff\xfe{}",
    "NUL in a string": b'{"first_name": "a\\u0000b"}',
    "a NUL": b'{"first_name": "a\x00b"}',
    "lone surrogate": b'{"first_name": "\\ud800"}',
    "NaN": b'{"price": NaN}',
    "a list": b"[1, 2]",
    "a text": b'"text"',
    "a number": b"1",
    "null": b"null",
    "a list of objects": b'[{"patient": 1}]',
    "unknown field": b'{"no_such_field": 1, "is_deleted": true}',
    "twice the same name": b'{"no_such_field": 1, "no_such_field": 2}',
    "prototype": b'{"__class__": "x", "__proto__": {"admin": true}}',
}
SHAPES = ("deep objects", "cut off", "a list", "null", "unknown field")  # enough for a verb without a form
BIG = b'{"first_name": "' + b"x" * 3 * 1024 * 1024 + b'"}'


def cursor(**words: str) -> str:
    return urlsafe_b64encode(urlencode(words).encode()).decode()


BAD_POSITIONS = [
    cursor(p=text) for text in ("\x00", LONG[:3000], "0001-01-01T00:00:00+14:00", "9" * 400, "NaN", "'; --")
]
BAD_CURSORS = [
    "x", "%", "=", "\u00e9", "\x00", LONG[:5000], *BAD_POSITIONS,
    cursor(o="-1"), cursor(o="10000000000"), cursor(o="x"), cursor(r="x", p="x"), cursor(p="x", r="1", o="5"),
]  # fmt: skip

REFUSALS = {400, 403, 404, 405, 409, 412, 413, 415, 422}
TABLES = {model._meta.db_table for model in apps.get_models()}
TELLTALE = re.compile(
    r"Traceback|File \"|psycopg|django\.|rest_framework|SELECT |INSERT |UPDATE |relation \"|Constraint |violates|"
    + "|".join(sorted(TABLES))
)


def as_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def send(api: APIClient, method: str, url: str, raw: bytes, **headers: str) -> HttpResponse:
    api.raise_request_exception = False
    return api.generic(method.upper(), url, raw, content_type="application/json", headers=headers)


def weakness(answer: Any) -> str:
    """Return what is wrong with the answer to a hostile request, "" when nothing is."""
    if answer.status_code < 400:
        return "" if answer.status_code < 300 else f"{answer.status_code}"
    if answer.status_code not in REFUSALS:
        error = getattr(answer, "exc_info", None)
        return f"{answer.status_code} {error[0].__name__ if error else ''} {str(error[1])[:200] if error else ''}"
    if not answer["Content-Type"].startswith("application/problem+json"):
        return f"{answer.status_code} as {answer['Content-Type']}"
    told = TELLTALE.search(
        json.dumps([error["message"] for error in answer.data.get("errors", [])]) + answer.data["detail"]
    )
    return f"{answer.status_code} tells {told.group()!r}: {answer.data}"[:400] if told else ""


def refused_fields(answer: Any) -> set[str]:
    if answer.status_code != 400:
        return set()
    return {error["field"].split(".")[0] for error in answer.data.get("errors", [])}
