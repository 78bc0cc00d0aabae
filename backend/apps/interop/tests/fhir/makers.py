"""Makes rows for every source; a source without a maker fails, for nobody would have seen its SQL run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from backend.apps.interop.tests.fhir import clinical_makers, makers_of_papers
from backend.apps.patients.models import BirthSex, Gender, Patient
from backend.apps.patients.tests.factories import make_patient


def full_patient() -> Patient:
    return make_patient(
        middle_name="Ngozi",
        name_suffix="III",
        birth_sex=BirthSex.FEMALE,
        races=["2054-5", "2106-3"],
        ethnicity="2186-5",
        needs_interpreter=False,
        deceased_at=datetime(2026, 3, 1, 4, 5, 6, 789000, tzinfo=UTC),
        emergency_contact_name="Chidi Okafor",
        emergency_contact_phone="+14155550101",
        emergency_contact_relationship="brother",
    )


def bare_patient() -> Patient:
    names = ("phone", "email", "address_line1", "city", "state", "postal_code")
    return make_patient(**dict.fromkeys(names, ""), preferred_language="")


# Name of a source: makers, each of a row of its model that is a resource (full ones, bare ones, one of each state).
MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    "patient": (full_patient, bare_patient),
    **makers_of_papers.MAKERS,
    **clinical_makers.MAKERS,
})  # fmt: skip

# Columns that stand as they are where R4 limits the codes, by source: what the database lets them be.
CODES: Mapping[str, Mapping[str, Collection[str]]] = MappingProxyType({
    "patient": {"gender": Gender.values},
})  # fmt: skip
