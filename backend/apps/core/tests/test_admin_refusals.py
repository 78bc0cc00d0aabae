"""Holds that the admin tells a person why it refused, and never in the database's words."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from backend.apps.core.admin import sentence
from backend.apps.core.exceptions import Conflict


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (Conflict("Someone else has just changed this."), "Someone else has just changed this."),
        (ValidationError({"end": ["The end is not after the start."]}), "The end is not after the start."),
        (IntegrityError("duplicate key (email)=(ada@example.org)"), "This contradicts what is already stored."),
    ],
)
def test_a_refusal_is_a_sentence_without_values(refusal: Exception, told: str) -> None:
    assert sentence(refusal) == told
