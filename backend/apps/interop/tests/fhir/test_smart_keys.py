"""Proves that only strong public keys count, and that keys by URL are fetched with care and kept as long as told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.cache import cache
from django.db import connection, connections

from backend.apps.interop.fhir.smart import clients, keys
from backend.apps.interop.tests.fhir.systems import (
    Publisher,
    System,
    ec_key,
    empty_cache,
    make_system,
    public,
    refused,
    rsa_key,
)
from integrations.doubles.server import Answer, Request
from tests.support.certificates import server_tls

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Let no test count the failures of another."""
    empty_cache()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as double:
        double.jwks = {"keys": [public(ec_key())]}
        yield double


def published(publisher: Publisher, key: Any = None) -> System:
    return make_system(key, jwks_url=f"{publisher.url}/jwks.json")


def test_keys_by_url_are_fetched_once_while_their_server_lets_us_keep_them(publisher: Publisher) -> None:
    system = published(publisher)
    assert system.ask().status_code == 200
    assert system.ask(assertion=system.assertion(header={"jku": system.row.jwks_url})).status_code == 200
    assert len(publisher.requests) == 1
    assert publisher.requests[0].headers["Accept"] == "application/jwk-set+json, application/json"
    publisher.cache_control = "no-store"
    empty_cache()
    for _ in range(2):
        assert system.ask().status_code == 200
    assert len(publisher.requests) == 3


def test_a_new_key_is_found_at_once_and_an_unknown_one_asks_once_a_minute(publisher: Publisher) -> None:
    system = published(publisher)
    assert system.ask().status_code == 200
    new = ec.generate_private_key(ec.SECP384R1())
    publisher.jwks = {"keys": [public(ec_key()), public(new, "two")]}
    assert system.ask(assertion=system.assertion(key=new, header={"kid": "two"})).status_code == 200
    for _ in range(3):
        refused(system.ask(assertion=system.assertion(header={"kid": "three"})), reason="unsigned")
    assert len(publisher.requests) == 2


def test_what_is_not_for_us_or_not_for_now_makes_us_fetch_nothing(publisher: Publisher) -> None:
    system = published(publisher)
    for claims in ({"exp": 7}, {"aud": "https://elsewhere.example"}, {"sub": "somebody"}, {"jti": None}):
        refused(system.ask(assertion=system.assertion(**claims)))
    assert publisher.requests == []


def test_a_set_that_is_kept_outlives_a_fetch_that_fails(publisher: Publisher) -> None:
    system = published(publisher)
    assert system.ask().status_code == 200
    publisher.fail_next(500, method="GET")
    refused(system.ask(assertion=system.assertion(header={"kid": "two"})), reason="unsigned")
    assert system.ask().status_code == 200
    assert len(publisher.requests) == 2


@pytest.mark.parametrize("cache_control", ["no-store", "max-age=60"])
def test_the_set_fetched_last_holds_for_a_while_when_its_server_is_down(
    publisher: Publisher, cache_control: str
) -> None:
    system, publisher.cache_control = published(publisher), cache_control
    assert system.ask().status_code == 200
    cache.delete(keys._key(system.row.jwks_url))  # its time is over
    publisher.fail_next(429, method="GET")
    assert [system.ask().status_code for _ in range(2)] == [200, 200]  # the second is soon after the failure
    new = system.assertion(header={"kid": "two"})
    refused(system.ask(assertion=new), "temporarily_unavailable", reason="keys_unseen")
    assert len(publisher.requests) == 2


def test_a_set_is_held_back_for_as_long_as_its_server_lets_us_keep_it_too(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "ASIDE_S", 0)
    system, publisher.cache_control = published(publisher), "max-age=60"
    assert system.ask().status_code == 200
    cache.delete(keys._key(system.row.jwks_url))
    publisher.fail_next(500, method="GET")
    assert system.ask().status_code == 200


def test_a_key_is_found_among_many_and_whatever_else_it_holds(publisher: Publisher) -> None:
    deep = json.dumps(public(ec_key()))[:-1] + ', "ext": true, "deep": ' + "[" * 900 + "]" * 900 + "}"
    others = [json.dumps(public(ec_key(), str(n))) for n in range(keys.MOST_KEYS)]
    publisher.jwks = f'{{"keys": [{", ".join([*others, deep])}]}}'.encode()
    assert published(publisher).ask().status_code == 200


def test_one_at_a_time_fetches_a_set_and_not_all_the_time(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = published(publisher)
    monkeypatch.setattr(keys, "WAIT_S", 0.1)
    monkeypatch.setattr(keys, "BY_URL", replace(keys.BY_URL, most=1, window_s=86_400))
    end_turn = keys._turn(system.row.jwks_url)
    assert end_turn is not None
    refused(system.ask(), "temporarily_unavailable", reason="keys_unseen")
    end_turn()
    publisher.cache_control = "no-store"
    assert system.ask().status_code == 200
    assert system.ask().status_code == 200  # by the set that was fetched last, so that nobody locks the system out
    new = system.assertion(header={"kid": "two"})
    refused(system.ask(assertion=new), "temporarily_unavailable", reason="keys_unseen")
    assert len(publisher.requests) == 1


def test_who_ends_a_turn_late_ends_nobody_elses(publisher: Publisher) -> None:
    url = f"{publisher.url}/jwks.json"
    late = keys._turn(url)
    cache.delete(f"{keys._key(url)}:turn")  # it took longer than a turn lasts
    other = keys._turn(url)
    assert late is not None
    assert other is not None
    late()
    assert keys._turn(url) is None
    other()
    assert keys._turn(url) is not None


class Meanwhile(Publisher):
    """Publishes a JWK set, and does something else before it answers."""

    does: Callable[[], object]

    def take(self, request: Request) -> Answer:
        try:
            self.does()
        finally:
            connection.close()
        return super().take(request)


@pytest.mark.django_db(transaction=True)
def test_while_keys_are_fetched_no_connection_is_held_and_what_changes_is_not_given_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, own = [], connections["default"]
    own.close()
    monkeypatch.setitem(own.settings_dict, "CONN_MAX_AGE", 0)  # as behind the pool

    def narrow() -> None:
        held.append(own.connection is not None)
        clients.change(system.row, by=None, scopes="system/Binary.rs")

    with Meanwhile() as double:
        double.jwks, double.does, double.cache_control = {"keys": [public(ec_key())]}, narrow, "max-age=60"
        system = published(double)
        refused(system.ask(), reason="changed")
        assert held == [False]
        assert system.ask().json()["scope"] == "system/Binary.rs"


def test_a_fetch_ends_after_one_time_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "WHOLE_S", 0.1)
    with Meanwhile() as double:
        double.jwks, double.does = {"keys": [public(ec_key())]}, lambda: time.sleep(0.3)
        refused(published(double).ask(), reason="unsigned")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, None, {}),
        (302, None, {"Location": "/elsewhere"}),
        (200, b"<html>", {}),
        (200, {"keys": "none"}, {}),
        (200, [], {}),
        (200, {"keys": [7, None, {}, {"kty": "EC", "kid": "one"}, {"kty": [], "kid": "one", "key_ops": 3}]}, {}),
        (200, b" " * (keys.MOST_BYTES + 1), {}),
    ],
)
def test_what_is_no_key_set_refuses_and_is_not_asked_for_again_at_once(
    publisher: Publisher, status: int, body: Any, headers: dict[str, str]
) -> None:
    system = published(publisher)
    publisher.fail_next(status, body, headers=headers, method="GET")
    refused(system.ask(), reason="unsigned")
    assert len(publisher.requests) == 1


def test_in_production_keys_come_by_https_from_public_addresses_alone(
    publisher: Publisher, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = published(publisher)
    settings.IN_PRODUCTION = True
    monkeypatch.setenv("CARERELAY_ENV", "production")
    refused(system.ask(), reason="unsigned")
    assert publisher.connections == 0
    tls, bundle = server_tls(tmp_path, "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    double = Publisher()
    double._server.socket = tls.wrap_socket(double._server.socket, server_side=True)
    secure = make_system(jwks_url=f"https://localhost:{double._server.server_port}/jwks.json")
    with double:
        double.jwks = publisher.jwks
        refused(secure.ask(), reason="unsigned")
        assert double.connections == 0
        monkeypatch.setenv("CARERELAY_EGRESS_ALLOW", f"localhost:{double._server.server_port}")
        empty_cache()
        assert secure.ask().status_code == 200


def test_keys_are_kept_no_longer_than_their_server_says_nor_than_a_day() -> None:
    told = ["", "max-age=60", "public, max-age=90", "max-age=999999", "no-cache", "no-store, max-age=60", "s-maxage=9"]
    assert [keys.lifetime_s(one) for one in told] == [300, 60, 90, 86_400, 0, 0, 300]


def test_systems_sign_in_while_redis_is_away(publisher: Publisher, settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    system = published(publisher)
    assert [system.ask().status_code for _ in range(2)] == [200, 200]
    assert len(publisher.requests) == 2


def test_weak_private_and_unnamed_keys_are_not_registered() -> None:
    good = public(ec_key())
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key()))
    cases: dict[str, Any] = {
        "private key": [{**private, "kid": "one"}],
        "2048 bits": [public(rsa_key(1024))],
        "P-384": [public(ec_key(ec.SECP256R1))],
        "(RS384)": [public(ec_key(), alg="ES512")],
        "can be used": [public(ec_key(), use="enc")],
        '"kid" of its own': [good, good],
        '"kid"': [public(ec_key(), kid="")],
        "at least one key": [],
        "20 keys": [public(ec_key(), str(n)) for n in range(21)],
    }
    for words, jwks in cases.items():
        assert words in keys.fault({"keys": jwks})
    assert keys.fault(good)
    assert keys.fault({"keys": [good, public(rsa_key(), "two")]}) == ""


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_weak_key_proves_nothing_even_where_it_is_registered() -> None:
    weak = make_system(rsa_key(1024))
    refused(weak.ask(), reason="unsigned")
