"""Starts the stack under attack once for the folder, and ends each attack by what must hold after it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.patients.models import Patient
from tests.security.attacks.attack import Attack
from tests.security.attacks.stack import AttackedStack, own_database, put_off
from tests.security.attacks.trap import Trap
from tests.security.matrix import RESOURCES, Practice, make, make_practice, model_of, other_people

VICTIM: dict[str, Any] = {
    "first_name": "Qvxwzfirst",
    "last_name": "Qvxwzlast",
    "date_of_birth": date(1932, 8, 24),
    "medical_record_number": "QVXWZMRN1",
    "phone": "+14155558462",
    "email": "qvxwzmail@example.org",
    "address_line1": "Qvxwzstreet",
    "city": "Qvxwztown",
    "postal_code": "QVXWZ1",
    "emergency_contact_name": "Qvxwzaunt",
    "emergency_contact_relationship": "Qvxwzkin",
    "insurance_info": {"policy": "Qvxwzpolicy"},
}


HERE = Path(__file__).parent
OF_PATIENTS = sorted(name for name in RESOURCES if getattr(model_of(name).access, "patient", None))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pytest-django make its tables, from which ours are copied."""
    for item in items:
        if item.path.parent == HERE and "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture
def _django_db_helper() -> None:
    """Empty no tables after a test: the stack goes on with its rows."""


@pytest.fixture(scope="package")
def stack(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AttackedStack]:
    with django_db_blocker.unblock(), own_database():
        running = AttackedStack(tmp_path_factory.mktemp("attacked"))
        try:
            running.start()
            yield running
        finally:
            running.close()


@pytest.fixture(scope="package")
def mine(stack: AttackedStack) -> Practice:
    """The attacker's own doctor, patient and logins of every role."""
    practice = make_practice()
    make_appointment(patient=practice.patient, doctor=practice.doctor)
    return practice


@pytest.fixture(scope="package")
def theirs(stack: AttackedStack) -> Practice:
    """Another doctor and the victim, whose every field is a mark."""
    practice = make_practice()
    victim = Patient.objects.get(pk=practice.patient.pk)
    for name, value in VICTIM.items():
        setattr(victim, name, value)
    victim.save()
    practice = replace(practice, patient=Patient.objects.get(pk=victim.pk))
    make_appointment(patient=practice.patient, doctor=practice.doctor, reason="Qvxwzreason")
    return practice


@pytest.fixture(scope="package")
def rows(theirs: Practice) -> dict[str, Any]:
    """One row of each resource that is about a patient: each of another one, with the victim's name."""
    found = {}
    for name in OF_PATIENTS:
        practice = other_people(theirs)
        Patient.objects.filter(pk=practice.patient.pk).update(first_name="Qvxwzfirst", last_name="Qvxwzlast")
        practice.patient.refresh_from_db()
        found[name] = make(name, practice)
    put_off()
    return found


@pytest.fixture
def attack(stack: AttackedStack, mine: Practice, theirs: Practice) -> Attack:
    return Attack(stack)


@pytest.fixture
def trap() -> Iterator[Trap]:
    with Trap() as one:
        yield one


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Ask what must hold after an attack as the last step of its test, when nothing failed before."""
    result = yield
    if isinstance(one := pyfuncitem.funcargs.get("attack"), Attack):
        one.is_over()
    return result
