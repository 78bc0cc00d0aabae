"""Says that the fast line and the dict of a row agree to the last digit; JSON read as numbers takes 1.5 for 1.50."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from integrations.fhir.resource import Resource
from tests.support.fhir_rows import GIVEN


class Digits(str):
    """A number as it is written, which 1.5 and 1.50 are not alike."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digits) and str(self) == str(other)


def spelled(told: Any) -> Any:
    """Return a dict's values with its numbers as they are to be written."""
    match told:
        case dict():
            return {name: spelled(member) for name, member in told.items()}
        case list():
            return [spelled(member) for member in told]
        case Decimal() | int() if not isinstance(told, bool):
            return Digits(f"{told:f}" if isinstance(told, Decimal) else told)
    return told


def agreed(resource: Resource, row: Sequence[str | None]) -> dict[str, Any]:
    """Return the dict of a row that the line agrees with, digit by digit."""
    told = resource.as_dict(row, GIVEN)
    line = resource.line(GIVEN)(row)
    assert json.loads(line, parse_float=Digits, parse_int=Digits) == spelled(told)
    assert "\n" not in line
    return told
