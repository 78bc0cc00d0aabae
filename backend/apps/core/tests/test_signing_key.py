"""Holds that settings the audit log cannot work with are refused at the start, and no key of them is shown."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured

from backend.apps.core import audit_keys
from backend.config.environment import days, public_keys, signing_key

NAME, OLD = "CARERELAY_AUDIT_KEY", "CARERELAY_AUDIT_KEYS_OLD"


def key_of_another_kind() -> str:
    made = generate_private_key(SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("text", ["", "guess-me", base64.b64encode(bytes(31)).decode(), key_of_another_kind()])
def test_a_signing_key_that_cannot_sign_is_refused_with_what_mends_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=r"^CARERELAY_AUDIT_KEY cannot sign.*Make one with") as refused:
        signing_key(NAME, "unused")
    assert not text or text not in str(refused.value)


def test_old_keys_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    public = audit_keys.public()
    monkeypatch.setenv(OLD, f"{public}, {public}\n{public}\n")
    assert public_keys(OLD) == [public] * 3
    monkeypatch.setenv(OLD, f"{public},guess-me")
    with pytest.raises(ImproperlyConfigured, match="CARERELAY_AUDIT_KEYS_OLD: A public key") as refused:
        public_keys(OLD)
    assert "guess-me" not in str(refused.value)


def test_the_log_is_kept_for_no_fewer_days_than_it_has_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARERELAY_AUDIT_LEAST_DAYS", raising=False)
    assert days("CARERELAY_AUDIT_LEAST_DAYS", 2192, least=2192) == 2192
    monkeypatch.setenv("CARERELAY_AUDIT_LEAST_DAYS", "30")
    assert days("CARERELAY_AUDIT_LEAST_DAYS", 2192, least=0) == 30
    for text in ("30", "-1", "six years", "36526"):
        monkeypatch.setenv("CARERELAY_AUDIT_LEAST_DAYS", text)
        with pytest.raises(ImproperlyConfigured, match="2192 at least"):
            days("CARERELAY_AUDIT_LEAST_DAYS", 2192, least=2192)
