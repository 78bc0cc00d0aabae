"""A sealed column: unreadable in the database, readable by us, also after the secret key has changed."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.sealed import CannotOpen, SealedField, seal, unseal


def test_what_was_sealed_opens_again_and_is_not_to_be_read_before() -> None:
    sealed = seal("123456789")
    assert "123456789" not in sealed
    assert unseal(sealed) == "123456789"


def test_nothing_stays_nothing() -> None:
    assert (seal(""), unseal("")) == ("", "")


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert seal("123456789") != seal("123456789")


def test_it_opens_with_a_former_secret_key(settings: Any) -> None:
    sealed = seal("123456789")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one, which is long enough to be a key"
    assert unseal(sealed) == "123456789"


def test_without_its_key_it_is_refused_without_being_shown(settings: Any) -> None:
    sealed = seal("123456789")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key altogether", []
    with pytest.raises(CannotOpen) as refused:
        unseal(sealed)
    assert sealed not in str(refused.value)


def test_the_column_is_text_that_tells_unknown_from_empty() -> None:
    field = SealedField(null=True)
    assert field.get_prep_value(None) is None
    assert field.from_db_value(field.get_prep_value("12"), None, None) == "12"
