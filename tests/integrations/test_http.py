"""Holds how each way an HTTP call can end is sorted, against a real server."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from integrations import egress, http
from integrations.doubles.server import Answer, HttpDouble, Request
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown
from tests.support.certificates import server_tls

SECRET = "secret-in-the-url"
PATIENT_S, SHORT_S = 5.0, 0.3  # for an answer; short only where it does not come in time
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Echo(HttpDouble):
    """Answers every request with its body."""

    def take(self, request: Request) -> Answer:
        return Answer(200, request.body)


@pytest.fixture
def partner() -> Iterator[Echo]:
    with Echo() as double:
        yield double


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def caller(answer_s: float = PATIENT_S) -> http.Http:
    return http.Http(partner="house", timeout_s=(PATIENT_S, answer_s))


def call(url: str, method: str = "POST", *, using: http.Http | None = None) -> http.Answer:
    return (using or caller()).send(method, f"{url}/claims?q={SECRET}", headers={}, body=b"body")


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
    assert call(partner.url).body == b"body"


def test_a_partner_that_is_not_there_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Transient) as raised:
            call(url)
    assert raised.value.code == "house:unreached"
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("how", [{"hang_s": 60.0}, {"drop": True}, {"drop": True, "accepted": True}])
def test_a_lost_answer_is_unknown_not_transient(partner: Echo, how: dict[str, Any]) -> None:
    partner.fail_next(**how)
    with pytest.raises(Unknown) as raised:
        call(partner.url, using=caller(SHORT_S if "hang_s" in how else PATIENT_S))
    assert raised.value.code == "house:unanswered"
    assert len(partner.arrived(1)) == 1, "not sent a second time"


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_drips_for_ever_is_lost_when_its_time_is_over(before: bytes) -> None:
    with scripted(before, *[b"H"] * 300, pause_s=0.05) as url:
        begun_s = time.monotonic()
        with pytest.raises(Unknown):
            call(url, using=caller(SHORT_S))
        assert time.monotonic() - begun_s < 10.0, "15 s is how long it drips"


@pytest.mark.parametrize("hint", [b"103 Early Hints\r\nLink: </a>; rel=preload", b"102 Processing", b"100 Continue"])
def test_a_word_before_the_answer_is_not_the_answer(hint: bytes) -> None:
    with scripted(b"HTTP/1.1 " + hint + b"\r\n\r\n", b"HTTP/1.1 201 Made\r\nContent-Length: 4\r\n\r\nmade") as url:
        answer = call(url)
        assert (answer.status, answer.body, dict(answer.headers)) == (201, b"made", {"Content-Length": "4"})


@contextmanager
def scripted(*says: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server that says this, piece by piece, to whoever comes first."""

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            hear_request(connection)
            for piece in says:
                connection.sendall(piece)
                time.sleep(pause_s)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def hear_request(connection: socket.socket, end: bytes = b"body") -> None:
    """Read up to the end of a request. Raises ConnectionError: it hung up before."""
    heard = b""
    while not heard.endswith(end):
        data = connection.recv(65536)
        if not data:
            raise ConnectionAbortedError
        heard += data


def test_a_lost_answer_to_a_mere_question_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Transient):
        call(f"http://127.0.0.1:{silent.getsockname()[1]}", method="GET", using=caller(SHORT_S))


@pytest.mark.parametrize(
    "url", ["no-scheme", "ftp://127.0.0.1", "http://", "http://[", "http://127.0.0.1:x", "http://a b"]
)
def test_a_url_that_is_none_is_permanent(url: str) -> None:
    with pytest.raises(Permanent):
        call(url)


@pytest.mark.parametrize("headers", [{"X-One": "a\r\nX-Two: b"}, {"X-One": "\u2028"}, {"X One:": "a"}])
def test_a_header_that_is_none_is_permanent_and_nothing_leaves(partner: Echo, headers: dict[str, str]) -> None:
    with pytest.raises(Permanent):
        caller().send("GET", partner.url, headers=headers)
    assert partner.requests == []


def test_a_connection_is_kept_and_a_new_one_made_when_the_partner_hung_up(partner: Echo) -> None:
    using = caller()
    for _ in range(3):
        assert call(partner.url, using=using).body == b"body"
    assert partner.connections == 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        using, url = caller(), f"http://127.0.0.1:{server.getsockname()[1]}"
        for _ in range(2):
            threading.Thread(target=answer_once_a_connection, args=(server, 1), daemon=True).start()
            assert call(url, using=using).body == b"first"
            [line] = using._lines.values()
            assert select.select([line.connection.sock], [], [], 10)[0], "its end may come later than its answer"


def test_a_kept_connection_that_breaks_under_a_request_is_unknown_and_nothing_is_repeated(partner: Echo) -> None:
    using = caller()
    call(partner.url, using=using)
    partner.fail_next(drop=True)
    with pytest.raises(Unknown):
        call(partner.url, using=using)
    assert (partner.connections, len(partner.requests)) == (1, 2)
    assert call(partner.url, using=using).body == b"body", "and the broken one is not used again"


def test_a_connection_that_was_idle_for_long_is_not_trusted(partner: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    using = caller()
    call(partner.url, using=using)
    monkeypatch.setattr(http, "IDLE_S", 0.0)
    call(partner.url, using=using)
    assert partner.connections == 2


def test_whoever_is_interrupted_half_way_never_reads_the_answer_of_another(
    partner: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: http.HTTPConnection) -> None:
        raise KeyboardInterrupt

    using = caller()
    call(partner.url, using=using)
    with monkeypatch.context() as patch:
        patch.setattr(http.HTTPConnection, "getresponse", interrupted)
        with pytest.raises(KeyboardInterrupt):
            using.send("POST", partner.url, headers={}, body=b"mine")
    assert using.send("POST", partner.url, headers={}, body=b"yours").body == b"yours"


def test_plain_http_goes_by_the_proxy_the_environment_names(partner: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", partner.url.replace("//", "//clinic:p%40ss@"))
    assert call("http://partner.example.org").body == b"body"
    [seen] = partner.requests
    assert seen.path == f"http://partner.example.org/claims?q={SECRET}"
    assert seen.headers["Host"] == "partner.example.org"
    assert seen.headers["Proxy-Authorization"] == http.basic_auth("clinic", "p@ss")


def test_a_host_the_environment_exempts_is_called_straight(partner: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert call(partner.url).body == b"body"


def test_a_proxy_that_refuses_the_tunnel_is_transient(partner: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", partner.url)
    with pytest.raises(Transient) as raised:
        call("https://partner.example.org")
    assert raised.value.code == "house:unreached"


def test_a_proxy_without_a_port_is_asked_where_plain_http_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1")
    line = caller()._line(urlsplit("https://partner.example.org"))
    assert (line.connection.host, line.connection.port) == ("127.0.0.1", 80)


@pytest.mark.parametrize("status", [408, 425])
def test_a_mere_question_that_came_at_a_bad_time_may_be_asked_again(partner: Echo, status: int) -> None:
    partner.fail_next(status, method="GET")
    with pytest.raises(Transient):
        caller().send("GET", partner.url, headers={})


def test_a_proxy_that_wants_a_login_is_our_configuration(partner: Echo) -> None:
    partner.fail_next(407)
    with pytest.raises(Misconfigured):
        call(partner.url)


@pytest.mark.parametrize(
    "proxy",
    ["socks5://127.0.0.1:9", "https://127.0.0.1:9", "http://127.0.0.1:x", "http://127.0.0.1:99999", "http://["],
)
def test_a_proxy_of_another_kind_is_our_configuration(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(Misconfigured):
        call("https://partner.example.org")


def test_a_partner_is_believed_only_with_a_certificate_from_the_bundle(
    tls_partner: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = tls_partner
    with pytest.raises(Transient) as raised:
        call(url)
    assert raised.value.code == "house:unreached"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    assert call(url).body == b"first"


def test_a_tunnel_of_the_proxy_ends_at_the_partner_itself(
    tls_partner: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = tls_partner
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    monkeypatch.setenv("https_proxy", url.replace("https", "http"))
    assert call("https://partner.example.org").body == b"first"
    with pytest.raises(Transient):
        call("https://somebody-else.example.org")


def test_a_bundle_that_is_not_there_is_our_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(Misconfigured):
        call("https://127.0.0.1:9")


@pytest.fixture
def tls_partner(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server whose certificate is its own authority, and that certificate's file."""
    context, certificate = server_tls(tmp_path, "localhost", "partner.example.org")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_once_a_connection, args=(server, 2, context), daemon=True).start()
        yield f"https://localhost:{server.getsockname()[1]}", certificate


def answer_once_a_connection(server: socket.socket, times: int, tls: ssl.SSLContext | None = None) -> None:
    """Answer one request on each of `times` connections, promise to keep it, and hang up all the same.

    Whoever asks for a tunnel is let through to the same server.
    """
    words = iter((b"first", b"second"))
    for _ in range(times):
        plain, _address = server.accept()
        with plain, suppress(OSError):  # a client that does not believe us hangs up at any moment
            if plain.recv(7, socket.MSG_PEEK) == b"CONNECT":
                hear_request(plain, b"\r\n\r\n")
                plain.sendall(b"HTTP/1.1 200 through\r\n\r\n")
            with tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
                hear_request(connection)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(word := next(words)) + word)


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


def test_a_host_of_many_addresses_costs_no_more_time_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full, socket.socket() as waiting, socket.socket() as other:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (waiting, other):  # fill its queue, so that the next to call gets no answer
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", full.getsockname())] * 6
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        began_s = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            egress.connected(("many.example", 443), 0.2)
        assert time.monotonic() - began_s < 0.6
