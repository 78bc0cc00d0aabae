"""Holds how each way an HTTP call can end is sorted, against a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from integrations import http
from integrations.errors import IntegrationError, Permanent, Transient, Unknown
from tests.support.double import Answer, HttpDouble, Request

SECRET = "secret-in-the-url"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Echo(HttpDouble):
    """Answers every request with its body."""

    def take(self, request: Request) -> Answer:
        return Answer(200, request.body)


@pytest.fixture
def partner() -> Iterator[Echo]:
    with Echo() as double:
        yield double


def call(url: str, method: str = "POST") -> requests.Response:
    request = requests.Request(method, f"{url}/claims?q={SECRET}", data=b"body")
    return http.send(http.session(), request, partner="house", timeout_s=(1.0, 0.3))


@pytest.mark.parametrize(
    ("status", "sort"),
    [
        *((status, Permanent) for status in (301, 307, 400, 401, 404, 409)),
        *((status, Transient) for status in (429, 503)),
        *((status, Unknown) for status in (500, 502, 504)),
    ],
)
def test_every_status_outside_2xx_has_its_sort(partner: Echo, status: int, sort: type[IntegrationError]) -> None:
    partner.fail_next(status, {"detail": SECRET}, headers={"Location": "/elsewhere"})
    with pytest.raises(sort) as raised:
        call(partner.url)
    assert raised.value.code == f"house:http-{status}"
    assert SECRET not in str(raised.value)
    assert len(partner.requests) == 1, "neither repeated nor redirected"


def test_a_good_answer_comes_back_whole(partner: Echo) -> None:
    assert call(partner.url).content == b"body"


def test_a_partner_that_is_not_there_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Transient) as raised:
            call(url)
    assert raised.value.code == "house:unreached"
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("how", [{"hang_s": 2.0}, {"drop": True}, {"drop": True, "accepted": True}])
def test_a_lost_answer_is_unknown_not_transient(partner: Echo, how: dict[str, Any]) -> None:
    partner.fail_next(**how)
    with pytest.raises(Unknown) as raised:
        call(partner.url)
    assert raised.value.code == "house:unanswered"
    assert len(partner.requests) == 1, "not sent a second time"


def test_a_lost_answer_to_a_mere_question_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Transient):
        call(f"http://127.0.0.1:{silent.getsockname()[1]}", method="GET")


def test_a_url_that_is_none_is_permanent() -> None:
    with pytest.raises(Permanent):
        call("no-scheme")


def test_retry_after_travels_with_the_error(partner: Echo) -> None:
    partner.fail_next(429, headers={"Retry-After": "17"})
    with pytest.raises(Transient) as raised:
        call(partner.url)
    assert raised.value.retry_after_s == 17.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("99999999999", 86_400.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str, seconds: float | None) -> None:
    assert http.retry_after_s({"Retry-After": text}, now=NOW) == seconds


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "https://[::1]", "http://localhost:1"])
def test_a_server_on_this_machine_may_stand_in_for_a_partner(url: str) -> None:
    assert http.checked_base_url(url, allow_any_host=False) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["https://example.org", "http://10.0.0.1", "http://127.0.0.1.example.org", "ftp://[::1]"]
)
def test_no_other_server_may(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        http.checked_base_url(url, allow_any_host=False)


def test_another_server_may_when_it_is_allowed() -> None:
    assert http.checked_base_url("https://api.eu.example.org/", allow_any_host=True) == "https://api.eu.example.org"
