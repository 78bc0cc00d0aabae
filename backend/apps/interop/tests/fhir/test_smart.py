"""Proves that a system signs in by its own key alone, once with each assertion, and reads by that token alone."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.interop.fhir.smart import assertions, clients, tokens, views
from backend.apps.interop.models import SmartAssertion, SmartClient
from backend.apps.interop.tests.fhir.systems import (
    AUDIENCE,
    FORM,
    TOKEN,
    System,
    bearer,
    ec_key,
    empty_cache,
    last,
    make_system,
    refused,
    rsa_key,
)
from backend.apps.users import services, throttle
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once, wait_until_waited_for

pytestmark = pytest.mark.django_db
KNOWN = "/fhir/R4/.well-known/smart-configuration"
OWN_API = "/api/v1/patients/"


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Let no test count the failures of another."""
    empty_cache()


@pytest.fixture
def system() -> System:
    return make_system()


def test_systems_learn_how_to_sign_in_without_a_login_from_any_page() -> None:
    answer = Client().get(KNOWN)
    told = answer.json()
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, "*")
    assert told["token_endpoint"] == AUDIENCE
    assert told["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert {"client-confidential-asymmetric", "permission-v1", "permission-v2"} <= set(told["capabilities"])
    assert {"system/*.rs", "system/Patient.rs"} <= set(told["scopes_supported"])


@pytest.mark.parametrize("key", [rsa_key, ec_key], ids=["RS384", "ES384"])
def test_a_registered_key_gets_a_token_of_five_minutes_that_reads(key: Callable[[], Any]) -> None:
    system = make_system(key())
    answer = system.ask("system/Patient.read system/Immunization.read")
    told = answer.json()
    assert (answer.status_code, answer["Cache-Control"], answer["Pragma"]) == (200, "no-store", "no-cache")
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("bearer", 300, "system/Patient.read")
    assert bearer(told["access_token"]).status_code == 200
    row = last()
    assert (row.outcome, row.resource_id, row.user_id) == (AuditLog.Outcome.ALLOWED, str(system.row.pk), None)
    assert SmartClient.objects.get(pk=system.row.pk).last_token_at is not None


def test_an_assertion_opens_the_door_once(system: System) -> None:
    assertion = system.assertion()
    assert system.ask(assertion=assertion).status_code == 200
    refused(system.ask(assertion=assertion), reason="replayed")
    other = make_system()
    jti = jwt.decode(assertion, options={"verify_signature": False})["jti"]
    assert other.ask(assertion=other.assertion(jti=jti)).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_who_send_one_assertion_at_once_one_gets_a_token(system: System) -> None:
    assertion, answers = system.assertion(), []
    at_once(*[lambda: answers.append(system.ask(assertion=assertion).status_code)] * 2)
    assert sorted(answers) == [200, 401]
    assert SmartAssertion.objects.count() == 1


def test_an_assertion_whose_scopes_were_refused_is_used_up_all_the_same(system: System) -> None:
    assertion = system.assertion()
    refused(system.ask("launch", assertion=assertion), "invalid_scope")
    refused(system.ask(assertion=assertion), reason="replayed")


def test_used_assertions_are_kept_until_their_age_refuses_them(system: System) -> None:
    system.token()
    assert assertions.forget_expired() == 0
    kept = SmartAssertion.objects.get()
    assert kept.expires_at.timestamp() >= time.time() + 240 + assertions.SKEW_S
    SmartAssertion.objects.update(expires_at=timezone.now() - timezone.timedelta(seconds=1))
    assert assertions.forget_expired() == 1


NOW = int(time.time())  # tests run within the minutes that their margins leave


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://elsewhere.example/token"}, "other_audience"),
        ({"aud": [AUDIENCE, "https://elsewhere.example/token"]}, "other_audience"),
        ({"aud": None}, "other_audience"),
        ({"sub": "somebody"}, "other_subject"),
        ({"sub": None}, "other_subject"),
        ({"exp": NOW - 3600}, "expiry"),
        ({"exp": NOW + 3600}, "expiry"),
        ({"exp": None}, "expiry"),
        ({"exp": True}, "expiry"),
        ({"exp": float("inf")}, "expiry"),
        ({"exp": 10**30}, "expiry"),
        ({"exp": 10**400}, "expiry"),
        ({"nbf": -(10**400)}, "not_yet"),
        ({"nbf": NOW + 3600}, "not_yet"),
        ({"iat": NOW + 3600}, "not_yet"),
        ({"iat": "yesterday"}, "not_yet"),
        ({"jti": None}, "no_jti"),
        ({"jti": ""}, "no_jti"),
        ({"jti": 7}, "no_jti"),
        ({"jti": "x" * 256}, "no_jti"),
        ({"iss": "unknown"}, "unknown_client"),
        ({"iss": None}, "unknown_client"),
        ({"iss": ["a"]}, "unknown_client"),
    ],
)
def test_an_assertion_that_is_not_for_us_or_not_for_now_is_refused(
    system: System, claims: dict[str, Any], reason: str
) -> None:
    refused(system.ask(assertion=system.assertion(**claims)), reason=reason)
    assert not SmartAssertion.objects.exists()


def test_a_clock_that_is_a_minute_off_is_no_reason_to_refuse(system: System) -> None:
    for claims in ({"exp": time.time() + 330}, {"exp": time.time() - 30}, {"iat": time.time() + 30}):
        assert system.ask(assertion=system.assertion(**claims)).status_code == 200


def unsigned(system: System) -> str:
    return jwt.encode(system.claims(), None, algorithm="none", headers={"kid": "one"}) + "AAAA"


def with_public_key_as_secret(system: System) -> str:
    secret = system.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = _part({"alg": "HS384", "typ": "JWT", "kid": "one"})
    signed = f"{head}.{_part(system.claims())}"
    return f"{signed}.{_text(hmac.digest(secret, signed.encode(), 'sha384'))}"


def _part(told: dict[str, Any]) -> str:
    return _text(json.dumps(told).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def with_weaker_hash(system: System) -> str:
    return jwt.encode(system.claims(), rsa_key(), algorithm="RS256", headers={"kid": "one"})


def with_broken_signature(system: System) -> str:
    head, body, signature = system.assertion().split(".")
    return f"{head}.{body}.{'A' * len(signature)}"


def nested(system: System) -> str:
    deep = _text(b"[" * 2_900)
    return f"{deep[:1200]}.{deep}.AAAA"


FORGERIES: dict[str, tuple[Callable[[System], str], str]] = {
    "unsigned": (unsigned, "other_algorithm"),
    "the public key as a secret": (with_public_key_as_secret, "other_algorithm"),
    "a weaker hash": (with_weaker_hash, "other_algorithm"),
    "another key": (lambda system: system.assertion(key=ec.generate_private_key(ec.SECP384R1())), "unsigned"),
    "a broken signature": (with_broken_signature, "unsigned"),
    "an unknown kid": (lambda system: system.assertion(header={"kid": "two"}), "unsigned"),
    "no kid": (lambda system: system.assertion(header={"kid": ""}), "no_kid"),
    "another type": (lambda system: system.assertion(header={"typ": "at+jwt"}), "header"),
    "a jku that was not registered": (
        lambda system: system.assertion(header={"jku": "https://evil.example"}),
        "other_jku",
    ),
    "another client's key": (
        lambda system: make_system(rsa_key()).assertion(iss=str(system.row.pk), sub=str(system.row.pk)),
        "unsigned",
    ),
    "no JWT": (lambda _: "invalid test value", "malformed"),
    "nested brackets": (nested, "malformed"),
    "our own token": (lambda system: system.token(), "other_algorithm"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_assertion_is_refused(system: System, name: str) -> None:
    forge, reason = FORGERIES[name]
    answer = system.ask(assertion=forge(system))
    told = answer.json()
    assert (answer.status_code, told["error"], last().outcome) == (401, "invalid_client", AuditLog.Outcome.REFUSED)
    assert last().detail["reason"] == reason


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": None}, "invalid_request"),
        ({"client_assertion_type": "other"}, "invalid_request"),
        ({"client_assertion": None}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "launch fhirUser"}, "invalid_scope"),
        ({"scope": "system/Immunization.rs"}, "invalid_scope"),
        ({"scope": ["system/Patient.rs", "system/Patient.rs"]}, "invalid_request"),
        ({"client_assertion": "x" * 70_000}, "invalid_request"),
        ({"client_assertion": "x" * 3_000_000}, "invalid_request"),
        ({f"field{n}": n for n in range(30)}, "invalid_request"),
        ({"scope": "system/Patient.rs\x00"}, "invalid_scope"),
        ({"client_secret": "invalid test value"}, "invalid_request"),
        ({"client_id": "01900000-0000-7000-8000-000000000000"}, "invalid_client"),
    ],
)
def test_a_request_that_is_not_right_is_answered_in_the_words_of_oauth(
    system: System, change: dict[str, Any], error: str
) -> None:
    refused(system.ask(**change), error)


def test_a_client_says_who_it_is_in_one_way_only(system: System) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(b"a:b").decode()}
    refused(system.ask(headers=basic), "invalid_request", "two_proofs")
    assert system.ask(client_id=str(system.row.pk)).status_code == 200


def test_only_forms_are_read() -> None:
    refused(
        Client().post(TOKEN, {"grant_type": "client_credentials"}, content_type="application/json"), "invalid_request"
    )
    refused(Client().get(TOKEN), "invalid_request")
    refused(Client().generic("POST", TOKEN, b"scope=\xff", content_type=FORM), "invalid_request")


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_deleted": True, "deleted_at": timezone.now()}])
def test_a_system_that_was_closed_gets_no_token_and_reads_by_none(system: System, change: dict[str, Any]) -> None:
    token = system.token()
    SmartClient.all_objects.filter(pk=system.row.pk).update(**change)
    assert bearer(token).status_code == 401
    refused(system.ask(), reason="unknown_client")


def test_withdrawing_tokens_ends_those_that_are_out_and_no_later_ones(system: System) -> None:
    before = system.token()
    clients.revoke_tokens(system.row, by=None)
    assert bearer(before).status_code == 401
    assert bearer(system.token()).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_withdrawing_tokens_ends_the_one_that_is_being_given_out_at_that_moment(system: System) -> None:
    with transaction.atomic():
        row = assertions.still_proven(system.row)
        revoking = threading.Thread(target=at_once, args=(lambda: clients.revoke_tokens(row, by=None),))
        revoking.start()
        wait_until_waited_for()
        now = SmartClient.objects.annotate(now=Now()).values_list("now", flat=True).get()
    revoking.join()
    assert bearer(tokens.issue(row.pk, ["system/*.rs"], now=now)).status_code == 401


def test_new_keys_or_scopes_end_the_tokens_of_before(system: System) -> None:
    before = system.token()
    clients.change(system.row, by=None, scopes="system/Binary.rs")
    assert bearer(before).status_code == 401
    assert system.ask().json()["scope"] == "system/Binary.rs"


def test_neither_kind_of_token_is_accepted_in_place_of_the_other(system: System) -> None:
    own = services.open_session(make_user(Role.ADMIN))
    theirs = system.token()
    assert bearer(theirs, OWN_API).status_code == 401
    assert bearer(own.access, OWN_API).status_code == 200
    assert bearer(own.access).status_code == 200
    with pytest.raises(tokens.BadToken):
        tokens.read(own.access)


def test_a_token_reads_no_type_its_scopes_do_not_name_and_searches_by_s_alone(system: System) -> None:
    asked = ("system/Binary.rs", "system/Patient.r", "system/Patient.s", "system/Patient.read")
    assert [bearer(system.token(scope)).status_code for scope in asked] == [403, 403, 200, 200]
    assert 'error="insufficient_scope"' in bearer(system.token(asked[0]))["WWW-Authenticate"]


def forged(**over: Any) -> str:
    claims = {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "iat": time.time(), "exp": time.time() + 300, "jti": "a"}
    told = {**claims, "scope": "system/*.rs", **over}
    kind = told.pop("typ", tokens.TYPE)
    return jwt.encode(told, settings.JWT_SIGNING_KEY, algorithm="HS256", headers={"typ": kind})


def test_a_token_that_is_over_or_of_another_kind_is_401(system: System) -> None:
    sub = str(system.row.pk)
    assert bearer(forged(sub=sub)).status_code == 200
    changes = ({"exp": time.time() - 1}, {"aud": "carerelay-api"}, {"iss": "other"}, {"typ": "JWT"}, {"sub": "x"})
    for change in (*changes, {"scope": "system/Patient.write"}, {"scope": None}):
        assert bearer(forged(**{"sub": sub, **change})).status_code == 401


def test_too_many_failed_proofs_from_one_address_are_429_and_good_ones_do_not_count(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day = replace(views.BY_ADDRESS, window_s=86_400)  # so that the test does not hang on the minute it begins in
    monkeypatch.setattr(views, "BY_ADDRESS", a_day)
    for _ in range(3):
        assert system.ask().status_code == 200
    for _ in range(60):
        answer = system.ask(assertion="a.b.c")
    assert answer.status_code == 401
    answer = system.ask()
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)
    assert last().detail["reason"] == "throttled"
    assert system.ask().status_code == 429
    assert AuditLog.objects.filter(detail__reason="throttled").count() == 1
    assert cache.incr(throttle._key(a_day, "127.0.0.1")) == 63
    with pytest.raises(ValueError, match="not found"):  # people's own count has not begun
        cache.incr(throttle._key(throttle.BY_ADDRESS, "127.0.0.1"))


def test_nothing_of_an_assertion_is_kept_or_logged(system: System, caplog: pytest.LogCaptureFixture) -> None:
    assertion = system.assertion(jti="a-telling-jti", header={"jku": "https://evil.example"})
    system.ask(assertion=assertion)
    system.ask(assertion=system.assertion(jti="a-telling-jti"))
    kept = [
        *AuditLog.objects.values_list("detail", "resource_id"),
        *SmartAssertion.objects.values_list("jti"),
        caplog.text,
    ]
    assert "telling" not in str(kept)
    assert "evil" not in str(kept)
