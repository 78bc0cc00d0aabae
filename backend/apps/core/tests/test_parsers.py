"""Holds that a hostile JSON body ends in 400 and a decent one arrives whole."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rest_framework.exceptions import ParseError

from backend.apps.core.models import Clinic
from backend.apps.core.parsers import DEEPEST, StrictJSONParser
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

HOSTILE = {
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "unclosed": b"[" * 100_000,
    "one level too deep": b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
    "NaN": b'{"name": NaN}',
    "infinity": b'{"name": -Infinity}',
    "an escaped NUL": b'{"name": "a\\u0000b"}',
    "a raw NUL": b'{"name": "a\x00b"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "a single quote": b"{'name': 'a'}",
    "a comma too many": b'{"name": "a",}',
    "a name twice": b'{"name": "a", "name": "b"}',
    "a name twice, escaped": b'{"inner": [{"na\\u006de": "a:\\"b", "name": "b"}]}',
    "two documents": b'{"name": "a"}{"name": "b"}',
    "nothing but a word": b"nothing",
}


def parse(raw: bytes) -> Any:
    return StrictJSONParser().parse(io.BytesIO(raw))


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse(raw)


@pytest.mark.django_db
@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_and_the_api_answers_400_and_stores_nothing(raw: bytes) -> None:
    answer = client_for(make_user("admin")).post("/api/v1/clinics/", raw, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not Clinic.objects.exists()


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "é✓"]}, [[[]]], "text with [[[ {{{", 5, {}])
def test_a_decent_body_arrives_whole(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


def test_brackets_in_a_long_text_are_no_depth_when_they_close() -> None:
    assert parse(json.dumps({"note": "[x] " * 1000}).encode())["note"].startswith("[x]")


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert parse(b"[" * DEEPEST + b"]" * DEEPEST) is not None
