"""Asks the database once about all CHECK constraints of a row; Django asks three statements for each of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import and_
from typing import Any

from django.core.exceptions import FieldError
from django.db import DatabaseError, models, transaction
from django.db.models import Q, Value
from django.db.models.functions import Coalesce
from django.db.models.sql import Query
from django.db.models.sql.constants import SINGLE

from backend.apps.core.sealed import SealedColumn


def split(constraints: Iterable[models.BaseConstraint]) -> tuple[list[Any], list[models.BaseConstraint]]:
    """Return the conditions of the CHECKs, and the constraints of other kinds."""
    conditions: list[Any] = []
    others: list[models.BaseConstraint] = []
    for constraint in constraints:
        if type(constraint) is models.CheckConstraint:
            conditions.append(constraint.condition)
        else:
            others.append(constraint)
    return conditions, others


def hold(row: Any, model: type[models.Model], conditions: list[Any], *, exclude: Any, using: str) -> bool:
    """Return whether no condition is false for this row; False also where the database cannot say."""
    if not conditions:
        return True
    query = Query(None)
    try:
        for name, value in row._get_field_expression_map(meta=model._meta, exclude=exclude).items():
            query.add_annotation(value if hasattr(value, "resolve_expression") else Value(value), name, select=False)
        query.add_annotation(Value(1), "_check")
        every = reduce(and_, map(Q, conditions))
        query.add_q(Q(Coalesce(every, True, output_field=models.BooleanField())))
        with transaction.atomic(using=using):
            return query.get_compiler(using=using).execute_sql(SINGLE) is not None
    except (DatabaseError, FieldError):
        return False


def plain(expression: Any) -> Any:
    """Return what a column of a row is compared as in a check: a sealed one as its plain value."""
    if not isinstance(getattr(expression, "output_field", None), SealedColumn):
        return expression
    kind = models.BinaryField() if isinstance(expression.value, bytes | memoryview) else models.TextField()
    return Value(expression.value, output_field=kind)
