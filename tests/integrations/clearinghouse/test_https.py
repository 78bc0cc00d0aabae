"""Holds what an API is told, and what each of its answers means."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.clearinghouse.https import Api, HttpsClearinghouse
from integrations.clearinghouse.port import Receipt, RemoteFile
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown
from tests.integrations.clearinghouse.api_double import KEY, ApiDouble, key_of
from tests.integrations.clearinghouse.staged_contract import REFUSED_NAMES, tells_nothing
from tests.integrations.clearinghouse.submissions import Claim, submission

FILE = submission(Claim("A1"))
NAME = "000000001.x12"


@pytest.fixture
def partner() -> Iterator[ApiDouble]:
    with ApiDouble() as double:
        yield double


def opened(partner: ApiDouble, *, key: str = KEY, answer_s: float = 5.0) -> HttpsClearinghouse:
    return HttpsClearinghouse(Api(f"{partner.url}/v1/", "Authorization", key), timeout_s=(2.0, answer_s))


def refusal(partner: ApiDouble, **options: Any) -> IntegrationError:
    with opened(partner, **options) as transport, pytest.raises(IntegrationError) as raised:
        transport.send(NAME, FILE, key_of(FILE))
    tells_nothing(raised.value)
    assert KEY not in str(raised.value)
    return raised.value


def test_a_file_arrives_as_it_is_with_its_key(partner: ApiDouble) -> None:
    with opened(partner) as transport:
        receipt = transport.send(NAME, FILE, key_of(FILE))
    assert receipt == Receipt("T1", repeated=False)
    [request] = partner.requests
    assert request.body == FILE
    assert request.headers["Content-Type"] == "application/edi-x12"
    assert request.headers["X-File-Name"] == NAME


def test_a_lost_answer_is_unknown_and_a_repeat_with_the_same_key_is_taken_once(partner: ApiDouble) -> None:
    partner.fail_next(drop=True, accepted=True)
    error = refusal(partner)
    assert (type(error), error.code) == (Unknown, "https:unanswered")
    with opened(partner) as transport:
        assert transport.send(NAME, FILE, key_of(FILE)) == Receipt("T1", repeated=True)
    assert list(partner.taken.values()) == [FILE]


@pytest.mark.parametrize(
    ("status", "sort"),
    [(401, Misconfigured), (403, Misconfigured), (409, Unknown), (500, Unknown), (400, Permanent), (422, Permanent)],
)
def test_every_refusal_has_its_sort(partner: ApiDouble, status: int, sort: type[IntegrationError]) -> None:
    partner.fail_next(status, {"detail": "DOE, JANE is not covered"})
    error = refusal(partner)
    assert (type(error), error.code) == (sort, f"https:http-{status}")
    assert "DOE" not in str(error)


def test_a_partner_that_asks_us_to_wait_is_heard(partner: ApiDouble) -> None:
    partner.fail_next(429, headers={"Retry-After": "90"})
    error = refusal(partner)
    assert isinstance(error, Transient)
    assert error.retry_after_s == 90.0


def test_a_partner_that_says_nothing_is_left_soon(partner: ApiDouble) -> None:
    partner.fail_next(hang_s=60.0)
    assert type(refusal(partner, answer_s=0.2)) is Unknown


def test_a_wrong_key_needs_a_person(partner: ApiDouble) -> None:
    for key, code in (("wrong", "https:http-401"), ("two\nlines", "https:request")):
        assert refusal(partner, key=key).code == code
    assert partner.taken == {}


def test_answers_are_listed_fetched_and_taken_off_the_list(partner: ApiDouble) -> None:
    partner.answers = {"b 1.835": b"ISA*835", "a.999": b"ISA*999", "../up": b"x"}
    at = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)
    with opened(partner) as transport:
        transport.probe()
        assert transport.listing() == [RemoteFile("a.999", 7, at), RemoteFile("b 1.835", 7, at)]
        assert transport.fetch("b 1.835", 7) == b"ISA*835"
        for _ in range(2):
            transport.remove("b 1.835")
    assert list(partner.answers) == ["a.999", "../up"]


def test_an_answer_that_is_too_big_or_gone_is_not_taken(partner: ApiDouble) -> None:
    partner.answers = {"a": b"12345678"}
    with opened(partner) as transport:
        for name, code in (("a", "https:too_big"), ("b", "https:gone")):
            with pytest.raises(IntegrationError) as raised:
                transport.fetch(name, 7)
            assert raised.value.code == code


@pytest.mark.parametrize("told", [True, False])
def test_no_more_is_read_than_an_answer_may_have(told: bool) -> None:
    """Whoever sends without an end is left after one byte too many; so is who says that it will."""
    head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 4000000000\r\n" if told else b"") + b"\r\n"
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_pour, args=(door, head), daemon=True).start()
        api = Api(f"http://127.0.0.1:{door.getsockname()[1]}", "Authorization", KEY)
        with HttpsClearinghouse(api, timeout_s=(2.0, 5.0)) as transport, pytest.raises(Permanent) as raised:
            transport.fetch("a", 1000)
    assert raised.value.code == "https:too_big"


def _pour(door: socket.socket, head: bytes) -> None:
    line, _ = door.accept()
    with line, contextlib.suppress(OSError):
        line.sendall(head)
        while True:
            line.sendall(b"1" * 65_536)


def test_a_page_is_no_receipt(partner: ApiDouble) -> None:
    partner.fail_next(200, b"\n<!DOCTYPE html><title>Log in</title>")
    error = refusal(partner)
    assert (type(error), error.code) == (Unknown, "https:receipt")


def test_an_entry_that_cannot_be_read_hides_no_other(partner: ApiDouble) -> None:
    listed = [{"name": "a"}, 7, {"name": "b.999", "size": 7, "modified_at": "2026-11-05T12:00:00Z"}]
    partner.fail_next(200, {"files": listed}, method="GET")
    with opened(partner) as transport:
        assert [file.name for file in transport.listing()] == ["b.999"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"files": 1}', b'{"files": [{"name": "a"}]}', b'{"files": [7]}'])
def test_a_list_that_is_none_is_asked_for_again(partner: ApiDouble, body: bytes) -> None:
    partner.fail_next(200, body, method="GET")
    with opened(partner) as transport, pytest.raises(Transient) as raised:
        transport.listing()
    assert raised.value.code == "https:listing"


def test_no_name_leads_elsewhere(partner: ApiDouble) -> None:
    with opened(partner) as transport:
        for name in REFUSED_NAMES:
            for refused in (lambda name=name: transport.fetch(name, 7), lambda name=name: transport.remove(name)):
                with pytest.raises(Permanent):
                    refused()
    assert partner.requests == []


@pytest.mark.parametrize("url", ["http://example.org", "ftp://example.org", "https://", "example.org"])
def test_a_key_never_travels_in_the_clear(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Api(url, "Authorization", KEY)
    assert KEY not in repr(Api("https://example.org", "Authorization", KEY))
