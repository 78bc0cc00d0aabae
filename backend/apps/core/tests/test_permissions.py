"""Holds that what is not listed is denied, and which rows of a model each kind of person finds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reminder
from backend.apps.core import scope
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.core.permissions import RolePermission, allow, may
from backend.apps.core.roles import Role
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
TABLE = allow(("list",), Role.NURSE)


def test_the_table_names_who_may_and_the_administrator_may_too() -> None:
    assert {"list": frozenset({"nurse", "admin"})} == TABLE
    assert may(User(role="nurse"), "list", TABLE)
    assert may(User(role="admin"), "list", TABLE)


@pytest.mark.parametrize(
    ("user", "action"),
    [
        (User(role="doctor"), "list"),
        (User(role="nurse"), "destroy"),
        (User(role="admin"), "destroy"),
        (User(role="nurse"), None),
        (User(role="nurse", is_active=False), "list"),
        (User(role=""), "list"),
        (AnonymousUser(), "list"),
        (None, "list"),
    ],
    ids=["a doctor", "a nurse", "the administrator", "no action", "inactive", "roleless", "anonymous", "nobody"],
)
def test_everything_else_is_denied(user: object, action: str | None) -> None:
    assert not may(user, action, TABLE)


def test_a_view_without_a_table_lets_nobody_in() -> None:
    request = SimpleNamespace(user=User(role="admin"))
    assert not RolePermission().has_permission(request, SimpleNamespace(action="list"))  # type: ignore[arg-type]  # as much of a request as it reads


@pytest.mark.parametrize("user", [None, AnonymousUser(), User(role="admin", is_active=False), User(role="nobody")])
def test_who_is_nobody_finds_nothing(user: object) -> None:
    make_appointment()
    AuditLog.objects.create(action="list", resource_type="x")
    found = [scope.visible(model.objects.all(), user).count() for model in (Appointment, Patient, AuditLog)]
    assert found[-1] == 0
    assert found == [0, 0, 0]


def test_a_doctor_finds_the_patients_an_appointment_links() -> None:
    own, other = make_appointment(), make_appointment()
    user = own.doctor.user
    assert list(Patient.objects.all().visible_to(user)) == [own.patient]
    assert list(Appointment.objects.all().visible_to(user)) == [own]
    assert list(Patient.objects.all().visible_to(other.doctor.user)) == [other.patient]


def test_a_deleted_appointment_links_nobody() -> None:
    own = make_appointment()
    own.delete()
    assert not Patient.objects.all().visible_to(own.doctor.user).exists()


def test_a_patient_finds_the_own_record_only() -> None:
    user = make_user("patient")
    record = make_patient(user=user)
    visit = make_appointment(patient=record)
    make_appointment()
    assert list(Patient.objects.all().visible_to(user)) == [record]
    assert list(Appointment.objects.all().visible_to(user)) == [visit]


def test_a_model_without_a_way_to_the_patient_shows_patients_nothing() -> None:
    user = make_user("patient")
    make_reminder(appointment=make_appointment(patient=make_patient(user=user)))
    assert not AppointmentReminder.objects.all().visible_to(user).exists()


def test_what_is_shared_is_seen_by_all_and_what_is_the_administrators_by_none_else() -> None:
    clinic = Clinic.objects.create(name="One")
    log = AuditLog.objects.create(action="list", resource_type="x")
    for role in Role.values:
        user = make_user(role)
        assert list(Clinic.objects.all().visible_to(user)) == [clinic]
        assert scope.visible(AuditLog.objects.all(), user).filter(pk=log.pk).exists() == (role == "admin")
