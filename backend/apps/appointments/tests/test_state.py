"""Holds the state table of appointments: every arrow, every refusal, and the version that rises with each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.appointments import missed, services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db

STATES = ("scheduled", "confirmed", "checked_in", "in_progress", "completed", "cancelled", "no_show")
VERBS: dict[str, Callable[[Appointment], Appointment]] = {
    "confirmed": lambda row: services.confirm(row, by=None),
    "checked_in": lambda row: services.check_in(row, by=None),
    "in_progress": lambda row: services.start(row, by=None),
    "completed": lambda row: services.complete(row, by=None),
    "cancelled": lambda row: services.cancel(row, by=None, reason="asked to"),
    "no_show": lambda row: services.mark_no_show(row, by=None),
}
ARROWS = {
    ("scheduled", "confirmed"), ("scheduled", "checked_in"), ("scheduled", "cancelled"), ("scheduled", "no_show"),
    ("confirmed", "checked_in"), ("confirmed", "cancelled"), ("confirmed", "no_show"),
    ("checked_in", "in_progress"), ("checked_in", "cancelled"),
    ("in_progress", "completed"),
}  # fmt: skip


CAME_AFTER_ALL = {("no_show", "checked_in"), ("no_show", "completed")}


def begun(status: str, new: str) -> Appointment:
    """Return an appointment in `status`; one that a patient can have missed when `new` is no_show."""
    start = timezone.now() + timedelta(hours=-1 if new == "no_show" else 30)
    return make_appointment(status=status, appointment_datetime=start)


@pytest.mark.parametrize(("old", "new"), sorted(ARROWS))
def test_every_arrow_of_the_table_can_be_walked_and_raises_the_version(old: str, new: str) -> None:
    row = VERBS[new](begun(old, new))
    stored = Appointment.objects.get(pk=row.pk)
    assert stored.status == new
    assert stored.version == row.version == 2


@pytest.mark.parametrize(("old", "new"), sorted({(old, new) for old in STATES for new in VERBS} - ARROWS))
def test_every_arrow_that_is_not_in_the_table_is_refused(old: str, new: str) -> None:
    row = begun(old, new)
    with pytest.raises(IllegalTransition, match="cannot become"):
        VERBS[new](row)
    stored = Appointment.objects.get(pk=row.pk)
    assert (stored.status, stored.version) == (old, 1)


@pytest.mark.parametrize(("old", "new"), sorted(CAME_AFTER_ALL))
def test_who_was_marked_as_missing_by_mistake_came_after_all(old: str, new: str) -> None:
    row = missed.came_after_all(begun(old, "no_show"), by=None, reason="Sat in the lab.", is_over=new == "completed")
    stored = Appointment.objects.get(pk=row.pk)
    assert (stored.status, stored.version) == (new, 2)
    assert (stored.checked_in_at is None) == (new == "completed")


def test_the_table_names_these_arrows_and_no_others() -> None:
    table = {(str(old), str(new)) for old, several in Appointment.TRANSITIONS.items() for new in several}
    assert table == ARROWS | CAME_AFTER_ALL


@pytest.mark.parametrize("old", sorted(set(STATES) - {"no_show"}))
def test_who_was_not_marked_as_missing_cannot_come_after_all(old: str) -> None:
    with pytest.raises(IllegalTransition, match="not marked as missed"):
        missed.came_after_all(begun(old, "no_show"), by=None, reason="Mixed up.")


def test_each_step_of_a_visit_notes_its_time() -> None:
    row = make_appointment()
    services.check_in(row, by=None)
    services.start(row, by=None)
    services.complete(row, by=None)
    stored = Appointment.objects.get(pk=row.pk)
    assert stored.checked_in_at <= stored.started_at <= stored.checked_out_at
    assert stored.version == 4


def test_a_cancellation_notes_its_time_and_its_reason() -> None:
    row = services.cancel(make_appointment(), by=None, reason=" moved away ")
    stored = Appointment.objects.get(pk=row.pk)
    assert stored.cancelled_at is not None
    assert stored.cancellation_reason == "moved away"


def test_nobody_has_missed_a_visit_that_has_not_begun() -> None:
    row = make_appointment()
    with pytest.raises(DomainError, match="has not begun"):
        services.mark_no_show(row, by=None)
    assert Appointment.objects.get(pk=row.pk).status == "scheduled"


def test_a_visit_that_has_begun_is_not_confirmed_any_more() -> None:
    row = make_appointment(appointment_datetime=timezone.now() - timedelta(minutes=5))
    with pytest.raises(DomainError, match="already begun"):
        services.confirm(row, by=None)


def test_a_patient_does_not_cancel_once_the_visit_has_begun() -> None:
    row = make_appointment(appointment_datetime=timezone.now() - timedelta(minutes=5))
    with pytest.raises(DomainError, match="call the clinic"):
        services.cancel(row, by=make_user("patient"), reason="x")
    assert services.cancel(row, by=make_user("receptionist"), reason="x").status == "cancelled"


def test_two_people_who_move_the_same_row_do_not_both_succeed() -> None:
    mine = make_appointment()
    theirs = Appointment.objects.get(pk=mine.pk)
    services.confirm(mine, by=None)
    with pytest.raises(Conflict, match="Someone else"):
        services.cancel(theirs, by=None, reason="late")
    assert Appointment.objects.get(pk=mine.pk).status == "confirmed"


@pytest.mark.parametrize(
    ("status", "hours", "upcoming", "past"),
    [
        ("scheduled", 1, True, False),
        ("confirmed", 1, True, False),
        ("cancelled", 1, False, False),
        ("scheduled", -0.1, False, False),
        ("completed", -2, False, True),
    ],
)
def test_upcoming_and_past_follow_clock_and_status(status: str, hours: float, upcoming: bool, past: bool) -> None:
    row = Appointment(status=status, appointment_datetime=timezone.now() + timedelta(hours=hours), duration_minutes=30)
    assert (row.is_upcoming, row.is_past) == (upcoming, past)
    assert row.end_datetime - row.appointment_datetime == timedelta(minutes=30)
