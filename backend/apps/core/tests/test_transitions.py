"""Holds that a status moves along its arrows only, and that one of two simultaneous moves loses."""

from __future__ import annotations

import pytest

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.exceptions import Conflict, IllegalTransition

pytestmark = pytest.mark.django_db


def test_a_listed_arrow_moves_the_row_and_its_other_fields_in_one_update(django_assert_num_queries: object) -> None:
    visit = make_appointment()
    before = visit.updated_at
    with django_assert_num_queries(2):  # type: ignore[operator]  # the UPDATE, and reading the changed fields again
        visit.move_to("confirmed")
    visit.refresh_from_db()
    assert visit.status == "confirmed"
    assert visit.updated_at > before


@pytest.mark.parametrize(
    ("old", "new"), [("completed", "scheduled"), ("cancelled", "confirmed"), ("scheduled", "nonsense")]
)
def test_any_other_move_is_refused_and_changes_nothing(old: str, new: str) -> None:
    visit = make_appointment(status=old)
    stored = Appointment.objects.filter(pk=visit.pk).values().get()
    with pytest.raises(IllegalTransition, match=f"is {old} and cannot become {new}"):
        visit.move_to(new)
    assert Appointment.objects.filter(pk=visit.pk).values().get() == stored


def test_of_two_who_read_the_same_row_the_second_is_told() -> None:
    one = make_appointment()
    other = Appointment.objects.get(pk=one.pk)
    one.move_to("confirmed")
    with pytest.raises(Conflict, match="load it again"):
        other.cancel("too late")
    assert Appointment.objects.get(pk=one.pk).status == "confirmed"


def test_the_tables_ask_before_they_move() -> None:
    visit = make_appointment()
    assert visit.can_move_to("confirmed")
    assert not visit.can_move_to("completed")
