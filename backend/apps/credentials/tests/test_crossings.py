"""Proves that who closes a login, files papers, sweeps or settles a look-up never waits for each other for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.core.sealed import written
from backend.apps.credentials import ladder, registries
from backend.apps.credentials.models import RegistryCheck
from backend.apps.credentials.registries import Answer
from backend.apps.credentials.tests.registry_factories import make_registry_check
from backend.apps.doctors.models import DoctorCredential
from backend.apps.doctors.tests.factories import make_credential, make_doctor
from backend.apps.employees import filing
from backend.apps.employees.models import Employee
from backend.apps.employees.tests.factories import make_employee, make_employee_credential
from backend.apps.users import services as users
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once, wait_until_waited_for

pytestmark = pytest.mark.django_db(transaction=True)


def crossed(hold: Callable[[], Any], then: Callable[[], Any], other: Callable[[], Any]) -> list[str]:
    """Begin `other` once `hold` is done, and do `then` in the same transaction once the other waits for it."""
    held = threading.Event()

    def first() -> None:
        with transaction.atomic():
            hold()
            held.set()
            wait_until_waited_for()
            then()

    def second() -> None:
        assert held.wait(30)
        other()

    return at_once(first, second)


def test_a_login_is_closed_beside_who_renews_several_papers_of_that_person() -> None:
    doctor, by, today = make_doctor(licensed=False), make_user(role="admin"), Clinic.today()
    earlier, later = (
        make_credential(
            doctor=doctor, number="n", issue_date=date(2020, 1, day), expiry_date=today + timedelta(days=day)
        )
        for day in (10, 11)
    )
    renewed = {"issue_date": today, "expiry_date": today + timedelta(days=400)}
    changed = written(DoctorCredential, later.pk, number="m")
    outcomes = crossed(
        lambda: (later.lock_papers(), DoctorCredential.objects.filter(pk=later.pk).update(**changed)),
        lambda: filing.renew(later, by=by, **renewed),
        lambda: users.deactivate(doctor.user, by=None, reason="on leave"),
    )
    assert outcomes == ["done"] * 2
    earlier.refresh_from_db()
    assert earlier.replaced_by is not None


def test_a_login_is_closed_beside_who_ends_that_employment() -> None:
    nurse = make_employee()
    make_employee_credential(employee=nurse)
    outcomes = crossed(
        lambda: User.objects.select_for_update(no_key=True).get(pk=nurse.user_id),
        lambda: users.deactivate(nurse.user, by=None, reason="employment ended"),
        lambda: Employee.objects.get(pk=nurse.pk).terminate(),
    )
    assert outcomes == ["done"] * 2


def test_a_sweep_does_not_wait_for_who_makes_an_administrator_something_else() -> None:
    boss, today = make_user(role="admin"), Clinic.today()
    make_user(role="admin")
    make_employee_credential(employee=make_employee(user=boss), expiry_date=today)
    counts = dict[str, int]()
    swept = threading.Thread(target=lambda: (counts.update(ladder.raise_due(today)), connection.close()))
    try:
        with transaction.atomic():
            users.update(boss, by=None, role="nurse")
            swept.start()
            swept.join(60)
            assert counts.get("raised") == 1
    finally:
        if swept.is_alive():  # it has begun, and now nothing is held against it
            swept.join(60)


def noted(check: RegistryCheck) -> Any:
    """Let the next edition say the same."""
    answer = Answer(check.user_id, check.outcome, check.finding)
    return registries.note(check.source, "2026-11-20", [answer], loaded_at=timezone.now())


def test_what_a_person_settles_while_the_next_edition_is_looked_at_stays_settled() -> None:
    check, by = make_registry_check(), make_user(role="admin")
    outcomes = crossed(
        lambda: registries.settle(check, by=by, settled_as="clear", note="Born in another year."),
        lambda: None,
        lambda: noted(check),
    )
    assert outcomes == ["done"] * 2
    assert RegistryCheck.objects.get(edition="2026-11-20").settled_as == "clear"


def test_who_settles_what_was_replaced_at_that_moment_is_asked_to_settle_the_newer_one() -> None:
    check, by = make_registry_check(), make_user(role="admin")
    outcomes = crossed(
        lambda: noted(check),
        lambda: None,
        lambda: registries.settle(check, by=by, settled_as="clear", note="Born in another year."),
    )
    assert outcomes == ["done", "DomainError"]
