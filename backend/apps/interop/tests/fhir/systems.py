"""Systems with keys made on the spot, and the assertions they sign; for tests of who may read."""

from __future__ import annotations

import functools
import itertools
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.core.cache import caches
from django.test import Client
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from backend.apps.core.models import AuditLog
from backend.apps.interop.models import SmartClient
from integrations.doubles.server import Answer, HttpDouble, Request

TOKEN = "/fhir/token"
READ = "/fhir/R4/Patient"
AUDIENCE = f"{settings.PUBLIC_BASE_URL}{TOKEN}"
FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
numbers = itertools.count()


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP384R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def public(key: Any, kid: str = "one", **over: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, **over}


@dataclass
class System:
    """A registered system and its key."""

    row: SmartClient
    key: Any
    algorithm: str

    def claims(self, **over: Any) -> dict[str, Any]:
        """Return the claims of a good assertion, but for `over`; None takes a claim away."""
        own = {"iss": str(self.row.pk), "sub": str(self.row.pk), "aud": AUDIENCE}
        found = {**own, "exp": int(time.time()) + 240, "jti": uuid.uuid4().hex, **over}
        return {name: value for name, value in found.items() if value is not None}

    def assertion(self, *, header: dict[str, Any] | None = None, key: Any = None, **over: Any) -> str:
        told = {"kid": "one", **(header or {})}
        claims = json.dumps(self.claims(**over)).encode()
        return jwt.PyJWS().encode(claims, key or self.key, algorithm=self.algorithm, headers=told)

    def ask(
        self,
        scope: str = "system/*.rs",
        *,
        assertion: str | None = None,
        headers: dict[str, str] | None = None,
        **over: Any,
    ) -> Any:
        """Post to the token endpoint; None takes a parameter away."""
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
            **over,
        }
        sent = urlencode({name: value for name, value in form.items() if value is not None}, doseq=True)
        return Client().generic("POST", TOKEN, sent, content_type=FORM, headers=headers)

    def token(self, scope: str = "system/*.rs") -> str:
        return str(self.ask(scope).json()["access_token"])


def bearer(token: str, address: str = READ) -> Any:
    return Client().get(address, headers={"Authorization": f"Bearer {token}"})


def last() -> AuditLog:
    return AuditLog.objects.filter(action="token").latest("timestamp")


def refused(answer: Any, error: str = "invalid_client", reason: str = "") -> None:
    """Check that it is an error of RFC 6749 that was written down and told nothing of what was sent."""
    told = answer.json()
    assert (told["error"], "access_token" in told) == (error, False)
    assert answer.status_code == {"invalid_client": 401, "temporarily_unavailable": 503}.get(error, 400)
    assert answer["Cache-Control"] == "no-store"
    row = last()
    assert row.outcome == AuditLog.Outcome.REFUSED
    assert reason in ("", row.detail["reason"])


def make_system(key: Any = None, **values: Any) -> System:
    """Register a system with a key of P-384 or the one given."""
    key = key or ec_key()
    algorithm = "RS384" if isinstance(key, rsa.RSAPrivateKey) else "ES384"
    if "jwks_url" not in values:
        values.setdefault("jwks", {"keys": [public(key)]})
    row = SmartClient.objects.create(**{"name": f"System {next(numbers)}", **values})
    return System(row, key, algorithm)


class Publisher(HttpDouble):
    """Publishes a JWK set."""

    jwks: Any = None
    cache_control: str | None = None

    def take(self, request: Request) -> Answer:
        headers = {"Cache-Control": self.cache_control} if self.cache_control else {}
        return Answer(200, self.jwks, headers)


def empty_cache() -> None:
    """Begin with nothing in the cache; other test processes keep theirs in the same Redis."""
    prefix = f"carerelay-cache-{uuid.uuid4().hex}"
    settings.CACHES["default"]["KEY_PREFIX"] = caches["default"].key_prefix = prefix
