"""Proves that the lines written from a claim's codes carry all that was written, and follow it when it changes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from backend.apps.insurance import services
from backend.apps.insurance.tests.factories import line, ready_claim, rendering_doctor

pytestmark = pytest.mark.django_db


def drug(doctor: Any) -> dict[str, Any]:
    return line(
        "40.00",
        code="J1885",
        modifiers=["JZ", "59"],
        units=2,
        diagnosis_pointers=[2, 1],
        place_of_service="22",
        is_emergency=True,
        ndc="00409379501",
        ndc_quantity="1.5",
        ndc_unit="ML",
        description="Toradol",
        note="given twice",
        prior_authorization="A-1",
        rendering_doctor=str(doctor.pk),
    )


def test_a_line_carries_every_part_that_was_written() -> None:
    doctor = rendering_doctor()
    claim = ready_claim(procedure_codes=[line(), drug(doctor)])
    first, second = claim.lines.order_by("number")
    assert (first.code, first.pointers, first.service_from, first.unit_basis) == (
        "99213",
        "1",
        claim.service_date,
        "UN",
    )
    assert (second.modifiers, second.pointers, second.units) == ("JZ,59", "2,1", Decimal(2))
    assert (second.ndc, second.ndc_quantity, second.ndc_unit) == ("00409379501", Decimal("1.5"), "ML")
    assert (second.is_emergency, second.place_of_service, second.rendering_doctor) == (True, "22", doctor)
    assert (second.description, second.note, second.prior_authorization) == ("Toradol", "given twice", "A-1")


def test_lines_follow_a_changed_claim() -> None:
    claim = ready_claim()
    services.change_claim(claim, by=None, procedure_codes=[line("9.00", code="99212")])
    assert list(claim.lines.values_list("number", "code", "charge")) == [(1, "99212", Decimal("9.00"))]
