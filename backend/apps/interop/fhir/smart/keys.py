"""The public keys of a system: which are strong enough, and how they are fetched from where it publishes them.

Source: RFC 7517 (JWK), RFC 7518, sections 3.3 and 3.4; SMART App Launch 2.2, "Client authentication: asymmetric".
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import jwt
import orjson
import redis
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.core.cache import cache

from backend.apps.core.connections import let_go
from backend.apps.users import throttle
from integrations.errors import IntegrationError, Permanent
from integrations.http import Answer, Http, Line

ALGORITHMS = ("RS384", "ES384")
KINDS = {"RSA": "RS384", "EC": "ES384"}
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
SHORTEST_RSA, LONGEST_RSA = 2048, 8192  # bits; a longer key would only cost us time
READ_OF_A_KEY = frozenset({"kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"})
MOST_KEYS = 20
MOST_BYTES = 100_000
TIMEOUT_S = (3.05, 5.0)
WHOLE_S = 8.0  # for a fetch, all told; the look-up of the name counts, but nothing cuts it short
KEPT_S, LONGEST_KEPT_S = 300, 86_400
ASIDE_S = 60  # beyond that, while none is to be had: as long as the window of BY_URL, so that no stranger who makes us
# fetch too often, or its server tire of us, keeps a system out
AFTER_FAILURE_S = 10  # so that a server that is down does not hold a thread of ours for each request
ASK_AGAIN_S = 60
WAIT_S = 1.0  # for another who fetches the same set
TURN_S = 30  # longer than any fetch; it ends a turn whose process has died
BY_URL = throttle.Limit("jwks", most=60, window_s=60)
TOGETHER = threading.BoundedSemaphore(4)  # fetches of this process while Redis, which gives turns, is away
MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
NOT_KEPT = re.compile(r"(?:^|[,\s])no-(?:store|cache)", re.IGNORECASE)
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Jwk = Mapping[str, Any]
log = logging.getLogger(__name__)


def fault(jwks: Any) -> str:
    """Return why this is no set of public keys to register, as a sentence; "" when it is one."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        return 'This is not a JWK set: {"keys": [...]} with at least one key.'
    if len(keys) > MOST_KEYS:
        return f"A JWK set may hold {MOST_KEYS} keys at most."
    if any(PRIVATE & set(key) for key in keys):
        return "This set holds a private key. Register public keys only, and let the system make itself a new key."
    kids = [key.get("kid") for key in keys]
    if not all(isinstance(kid, str) and kid for kid in kids) or len(set(kids)) < len(kids):
        return 'Each key needs a "kid" of its own.'
    if not any(_usable(key, KINDS.get(str(key.get("kty")), "")) for key in keys):
        return "None of these keys can be used: RSA of at least 2048 bits (RS384), or EC on P-384 (ES384)."
    return ""


def address_fault(url: str) -> str:
    """Return why we do not fetch keys from this address, as a sentence; "" when we do."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "This is not a web address."
    if not host or parts.username is not None or parts.fragment:
        return "Give the address as https://host/path, without a login."
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host) and not settings.IN_PRODUCTION):
        return ""
    return "Keys are fetched over https only."


def candidates(jwks: Any, kid: str, algorithm: str) -> list[PublicKey]:
    """Return the keys of a set that this `kid` may mean and that are strong enough."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    named = [key for key in keys or () if isinstance(key, dict) and key.get("kid") == kid]
    return [key for key in (_usable(one, algorithm) for one in named[:MOST_KEYS]) if key is not None]


def _usable(jwk: Jwk, algorithm: str) -> PublicKey | None:
    fits = KINDS.get(str(jwk.get("kty"))) == algorithm and jwk.get("alg", algorithm) == algorithm
    ops = jwk.get("key_ops", ["verify"])
    if not fits or jwk.get("use", "sig") != "sig" or not isinstance(ops, list) or "verify" not in ops:
        return None
    if PRIVATE & set(jwk):  # whoever published that has no secret any more
        return None
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if _strong(key) else None


def _strong(key: Any) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return SHORTEST_RSA <= key.key_size <= LONGEST_RSA and key.public_numbers().e.bit_length() <= 64
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)


def published(url: str, kid: str) -> Any:
    """Return the set at `url`: as it was kept, or fetched anew when it does not know `kid`, once a minute at most.

    When there is none to be had now, and none is kept: the last one that was fetched, None if that does not know `kid`.
    {}: none can be fetched, and none was for a while.
    """
    found = _kept(url)
    if found and (kid in _kids(found) or not _may_ask_again(url)):
        return found
    if found != {}:  # else that failed a moment ago
        let_go()
        found = _in_turn(url, found or {})
    last = None if found else _read(_aside(url))
    if last is None:
        return found
    return last if kid in _kids(last) else None


def _kids(jwks: Any) -> Iterable[Any]:
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    return [key.get("kid") for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _in_turn(url: str, known: Any) -> Any:
    """Fetch the set while nobody else does; what is known already when that takes too long, or happens too often.

    None: then, and nothing is known.
    """
    until_s = time.monotonic() + WAIT_S
    while (end_turn := _turn(url)) is None:
        if time.monotonic() > until_s:
            return known or None
        time.sleep(0.05)
        kept = _kept(url)
        if kept is not None and (not kept or kept != known):
            return kept
    try:
        return (known or None) if _too_often(url) else _fetched(url, known)
    finally:
        end_turn()


def _turn(url: str) -> Callable[[], object] | None:
    """Return how to end our turn to fetch from this address; None while another has it."""
    key, turn = f"{_key(url)}:turn", uuid4().hex
    try:
        return partial(_end, key, turn) if cache.add(key, turn, timeout=TURN_S) else None
    except redis.RedisError:
        return TOGETHER.release if TOGETHER.acquire(blocking=False) else None


def _too_often(url: str) -> bool:
    try:
        return throttle.over(BY_URL, url) is not None
    except redis.RedisError:
        return False


def _fetched(url: str, known: Any) -> Any:
    """Fetch the set and keep it as long as its server allows; what is known already when there is none to be had."""
    try:
        answer = _Outside(partner="jwks", timeout_s=TIMEOUT_S).exchange(
            "GET", url, headers={"Accept": "application/jwk-set+json, application/json"}, most_bytes=MOST_BYTES
        )
        jwks = _as_set(answer)
    except IntegrationError as error:
        log.warning("keys of a system could not be fetched: %s", error.code)
        if not known:
            _keep(_key(url), {}, AFTER_FAILURE_S)
        return known
    kept_s = lifetime_s(answer.headers.get("Cache-Control") or "")
    _keep(_key(url), jwks, kept_s)
    _keep(_aside(url), jwks, kept_s + ASIDE_S)
    return jwks


def _as_set(answer: Answer) -> Any:
    if answer.status != 200:  # a redirect too: it could lead anywhere
        raise Permanent(f"HTTP {answer.status}", code=f"jwks:http-{answer.status}")
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise Permanent("not JSON", code="jwks:not-json") from None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise Permanent("not a JWK set", code="jwks:no-set")
    return {"keys": [key for key in map(_as_key, found["keys"]) if key]}


def _as_key(told: Any) -> dict[str, Any]:
    """Return what we read of a published key; {} when it is none. What else it holds may be nested without end."""
    if not isinstance(told, dict) or PRIVATE & set(told):
        return {}
    key = {name: told[name] for name in READ_OF_A_KEY & set(told)}
    ops = key.get("key_ops", [])
    texts = [*(value for name, value in key.items() if name != "key_ops"), *(ops if isinstance(ops, list) else [None])]
    return key if all(isinstance(text, str) for text in texts) else {}


def lifetime_s(cache_control: str) -> int:
    """Return for how many seconds an answer may be kept by its Cache-Control header."""
    if NOT_KEPT.search(cache_control):
        return 0
    told = MAX_AGE.search(cache_control)
    return min(int(told[1]), LONGEST_KEPT_S) if told else KEPT_S


class _Outside(Http):
    """One instance fetches once, within WHOLE_S. Where it may connect to is decided for each address (`egress`)."""

    def _open(self, parts: SplitResult) -> Line:
        if sentence := address_fault(parts.geturl()):
            raise Permanent(sentence, code="jwks:address")
        until_s = time.monotonic() + WHOLE_S
        line = super()._open(parts)
        line.connection.sock.settimeout(min(TIMEOUT_S[1], max(until_s - time.monotonic(), 0.001)))
        return line


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(url: str) -> str:
    return f"jwks:{hashlib.sha256(url.encode()).hexdigest()}"


def _aside(url: str) -> str:
    return f"{_key(url)}:last"


def _kept(url: str) -> Any:
    return _read(_key(url))


def _read(key: str) -> Any:
    try:
        return cache.get(key)
    except redis.RedisError:
        return None


def _keep(key: str, jwks: Any, seconds: int) -> None:
    try:
        cache.set(key, jwks, timeout=seconds)  # 0 forgets it
    except redis.RedisError:
        log.info("keys of a system are not kept: Redis does not answer")


def _end(key: str, turn: str) -> None:
    """End a turn, if it did not end by itself and is another's now."""
    try:
        if cache.get(key) == turn:
            cache.delete(key)
    except redis.RedisError:
        log.info("a turn to fetch keys ends by itself: Redis does not answer")


def _may_ask_again(url: str) -> bool:
    try:
        return bool(cache.add(f"{_key(url)}:again", 1, timeout=ASK_AGAIN_S))
    except redis.RedisError:
        return False
