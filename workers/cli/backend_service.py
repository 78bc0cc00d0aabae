"""A client that signs in by SMART Backend Services; without it the demo would have to trust its own server's word."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from workers.cli.errors import Refused

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RENEW_S = 30  # before a token ends
ANSWER_S, LONG_ANSWER_S = 30.0, 120.0


@dataclass
class BackendService:
    """A client with a P-384 key of its own. `base` is the FHIR base of the server; `client_id` comes from it."""

    base: str
    client_id: str = ""
    token: str = ""
    scope: str = ""
    good_until: float = 0.0  # time.monotonic
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    def jwks(self) -> dict[str, Any]:
        """Return the public half of the key as a JWK set."""
        public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": "demo", "use": "sig", "alg": "ES384", "key_ops": ["verify"]}]}

    def sign_in(self, scope: str) -> str:
        """Get a token; return the scopes that were granted."""
        about = asked("GET", f"{self.base}/.well-known/smart-configuration", ANSWER_S)
        where, now = member(about, "token_endpoint"), int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": where, "jti": uuid.uuid4().hex, "exp": now + 240}
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION,
            "client_assertion": jwt.encode(claims, self.key, algorithm="ES384", headers={"kid": "demo"}),
        }
        answer = asked("POST", where, ANSWER_S, data=form)
        if answer.status_code != 200:
            raise Refused(f"The token endpoint answered {answer.status_code}: {member(answer, 'error')}.")
        self.token, self.scope = member(answer, "access_token"), scope
        self.good_until = time.monotonic() + member(answer, "expires_in")
        return str(member(answer, "scope"))

    def get(self, where: str, params: dict[str, str] | None = None, **headers: str) -> requests.Response:
        """Ask for a path below the base, or for a whole address, with a token that is still good."""
        if time.monotonic() > self.good_until - RENEW_S:
            self.sign_in(self.scope)
        url = where if where.startswith("http") else f"{self.base}/{where}"
        told = {"Accept": "application/fhir+json", "Authorization": f"Bearer {self.token}", **headers}
        return asked("GET", url, LONG_ANSWER_S, params=params, headers=told)


def asked(method: str, url: str, within_s: float, **more: Any) -> requests.Response:
    """Return the answer to a request; refuse where none comes."""
    try:
        return requests.request(method, url, timeout=within_s, **more)
    except requests.RequestException as error:
        raise Refused(f"{method} {urlsplit(url).path} was not answered ({type(error).__name__}).") from error


def member(answer: requests.Response, name: str) -> Any:
    """Return one member of the object that was answered; refuse where there is none."""
    try:
        return answer.json()[name]
    except (requests.JSONDecodeError, LookupError, TypeError):
        where = urlsplit(answer.url).path
        raise Refused(f"{where} answered {answer.status_code} without {name!r}.") from None
