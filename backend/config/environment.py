"""Reads what the environment says of this machine, and refuses in a sentence what cannot be meant."""

import base64
import binascii
import hmac
import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from backend.apps.core import merkle

CENTURY = 36_525  # days


def secret(name: str, default: str | None = None) -> str:
    """Return variable `name`, or the content of the file that `<name>_FILE` points to, or the default, stripped.

    A line end that came along with a key would be refused wherever the key is used.
    """
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE.")
    return value.strip()


def signing_key(name: str, default: str | None = None) -> str:
    """Return the Ed25519 key in variable `name`, as it is written: PEM, or its seed in base64.

    Refused at the start, not when the first thing is to be signed, with what mends it.
    """
    text = secret(name, default)
    try:
        merkle.signer(text)
    except merkle.BadKey as error:
        raise ImproperlyConfigured(f"{name} cannot sign. {error} Make one with `./carerelay secrets`.") from None
    return text


def public_keys(name: str) -> list[str]:
    """Return the public keys in variable `name`, separated by commas or lines."""
    found = list(filter(None, re.split(r"[,\s]+", secret(name, ""))))
    try:
        for text in found:
            merkle.reader(text)
    except merkle.BadKey as error:
        raise ImproperlyConfigured(f"{name}: {error} `manage audit key` prints one.") from None
    return found


def key_ring(name: str, derived_from: str | None = None) -> tuple[tuple[str, bytes], ...]:
    """Return id and 32 bytes of each key in variable `name`, written "id:base64,id:base64"; the first is the newest.

    derived_from: a secret to make one key from where none is set; None: that is refused.
    """
    text = secret(name, None if derived_from is None else "")
    if not text and derived_from is not None:
        return (("derived", hmac.digest(derived_from.encode(), name.encode(), "sha256")),)
    found = tuple(_key(name, entry) for entry in re.split(r"[,\s]+", text) if entry)
    if not found or len(dict(found)) < len(found) or len({key for _, key in found}) < len(found):
        raise ImproperlyConfigured(f"{name}: one key or more, each with an id and a value of its own.")
    return found


def _key(name: str, entry: str) -> tuple[str, bytes]:
    key_id, _, value = entry.partition(":")
    try:
        key = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not re.fullmatch(r"[a-z0-9]{1,8}", key_id) or len(key) != 32:  # keys are secrets: none is repeated here
        raise ImproperlyConfigured(
            f"{name}: entries such as k1:BASE64, an id of up to 8 small letters and digits and 32 bytes in base64."
        )
    return key_id, key


def one_of(name: str, default: str, *words: str) -> str:
    """Return variable `name`, or the default where it is not set; refuse any other word."""
    value = os.environ.get(name) or default
    if value not in words:
        raise ImproperlyConfigured(f"{name} is one of {', '.join(words)}.")
    return value


def minutes(name: str, default: str) -> float:
    """Return how many minutes variable `name` says, more than none and a day at most."""
    text = os.environ.get(name) or default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 24 * 60:
        raise ImproperlyConfigured(f"{name}: a number of minutes such as {default}, 1440 at most.")
    return value


def proxies(text: str) -> int | list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return how many proxies stand before us, or their networks: "1", or "10.0.0.0/8,192.0.2.7"."""
    if text.strip().isdigit():
        return int(text)
    try:
        return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ImproperlyConfigured(f"CARERELAY_TRUSTED_PROXIES: {error}") from None


def days(name: str, default: int, *, least: int) -> int:
    """Return the whole number of days in variable `name`; fewer than `least` are refused."""
    text = os.environ.get(name, "").strip() or str(default)
    if not text.isdecimal() or not least <= int(text) <= CENTURY:
        raise ImproperlyConfigured(f"{name}: a whole number of days, {least} at least.")
    return int(text)


def bounded(options: dict[str, Any], seconds: str) -> dict[str, Any]:
    """Return the options of a connection whose statements the server ends after so many seconds; "0" for never.

    Nothing is said to the server then: not every pooler lets it through.
    """
    try:
        limit_ms = round(float(seconds) * 1000)
    except (ValueError, OverflowError):
        limit_ms = -1
    if limit_ms < 0 or (limit_ms == 0 and float(seconds)):
        raise ImproperlyConfigured("CARERELAY_WEB_STATEMENT_TIMEOUT_S: a number of seconds such as 30, 0 for never.")
    told = f"{options.get('options', '')} -c statement_timeout={limit_ms}"
    return {**options, "options": told.strip()} if limit_ms else options


def addresses(text: str) -> dict[str, str]:
    """Return the dead-man addresses by entry of the beat schedule, written as a JSON object."""
    try:
        found = json.loads(text or "{}")
        known = all(urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname for url in found.values())
    except (ValueError, AttributeError, TypeError):
        known = False
    if not known:  # the addresses are secrets: none is repeated here
        raise ImproperlyConfigured('CARERELAY_DEADMAN: a JSON object such as {"catch up": "https://..."}.')
    return dict(found)


def mailboxes(text: str) -> tuple[str, ...]:
    """Return the mailboxes of those on call: "first@example.org, second@example.org"."""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if any([*map(bool, one.split("@"))] != [True, True] or len(one.split()) > 1 for one in found):
        raise ImproperlyConfigured("CARERELAY_ON_CALL: mailboxes such as first@example.org, separated by commas.")
    return found


def provider_at(name: str, *, in_production: bool) -> str:
    """Return the address of a provider's double in variable `name`; empty: the provider's own, as in production."""
    url = os.environ.get(name, "")
    host = urlsplit(url).hostname or ""
    if in_production and (host in ("localhost", "::1") or host.startswith("127.")):
        raise ImproperlyConfigured(f"{name} names this machine, where messages would reach nobody. Unset it.")
    return url
