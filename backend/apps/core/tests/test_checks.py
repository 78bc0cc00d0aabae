"""Proves that CHECKs asked together say what each alone would say, at the price of one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from backend.apps.insurance.tests.factories import make_claim

pytestmark = pytest.mark.django_db


def told(call: Any) -> dict[str, list[str]]:
    """Return the sentences of a refusal, {} where nothing is refused."""
    try:
        call()
    except ValidationError as refusal:
        return refusal.message_dict
    return {}


def test_a_good_row_costs_one_statement_for_all_its_checks() -> None:
    claim = make_claim()
    checks = [one for one in claim._meta.constraints if isinstance(one, models.CheckConstraint)]
    with CaptureQueriesContext(connection) as asked:
        claim.validate_constraints()
    with CaptureQueriesContext(connection) as one_by_one:
        models.Model.validate_constraints(claim)
    assert len(checks) > 10
    assert len(one_by_one) - len(asked) == 3 * (len(checks) - 1)  # each in a savepoint of its own


@pytest.mark.parametrize(
    "values",
    [
        {"billed_amount": Decimal("-1.00")},
        {"status": "no such", "is_deleted": True},
        {"diagnosis_codes": {"not": "a list"}},  # the database cannot count its elements: an error, not a no
        {"diagnosis_codes": {"not": "a list"}, "is_deleted": True},
    ],
    ids=" and ".join,
)
def test_a_bad_row_is_refused_in_the_same_words(values: dict[str, Any]) -> None:
    claim = make_claim()
    for name, value in values.items():
        setattr(claim, name, value)
    expected = told(lambda: models.Model.validate_constraints(claim))
    assert expected
    assert told(claim.validate_constraints) == expected
    assert told(claim.validate_constraints) == expected  # and it is asked anew each time


def test_a_field_that_is_left_out_is_not_asked_about() -> None:
    claim = make_claim()
    claim.billed_amount, claim.is_deleted = Decimal("-1.00"), True
    every = [field.name for field in claim._meta.concrete_fields]
    claim.validate_constraints(exclude=every)
    left = [name for name in every if name not in {"is_deleted", "deleted_at"}]
    expected = told(lambda: models.Model.validate_constraints(claim, exclude=left))
    assert expected
    assert told(lambda: claim.validate_constraints(exclude=left)) == expected
