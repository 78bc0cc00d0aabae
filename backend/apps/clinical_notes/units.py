"""Turns what an American scale and thermometer show into the units we store; without it staff would do it by heart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

KG_PER_LB = Decimal("0.45359237")
CM_PER_INCH = Decimal("2.54")
NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,4})?", re.ASCII)


def metric(vitals: Mapping[str, Any]) -> dict[str, Any]:
    """Return `vitals` with temperature in °F, weight in lb and height in inches turned into °C, kg and cm.

    What is not a plain number is returned as it is, for the field's own check to refuse.
    """
    turned = dict(vitals)
    for name, (factor, zero, step) in SCALES.items():
        text = str(vitals.get(name))
        if not isinstance(vitals.get(name), bool) and NUMBER.fullmatch(text):
            turned[name] = ((Decimal(text) - zero) * factor).quantize(step, ROUND_HALF_UP)
    return turned


# name -> (factor, what zero is written as, rounded to)
SCALES: dict[str, tuple[Decimal, int, Decimal]] = {
    "temperature": (Decimal(5) / 9, 32, Decimal("0.1")),
    "weight": (KG_PER_LB, 0, Decimal("0.01")),
    "height": (CM_PER_INCH, 0, Decimal("0.1")),
}
