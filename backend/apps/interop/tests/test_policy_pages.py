"""Proves that the page of the table tells each channel's own words and condition where they are not the same."""

from __future__ import annotations

import pytest

from backend.apps.appointments.tests.factories import make_reminder_policy
from backend.apps.interop.tests.test_reminder_pages import BOARD
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db


def test_channels_that_say_something_else_on_another_condition_are_told_apart() -> None:
    same = {"appointment_type": "procedure", "offset_hours": 7}
    make_reminder_policy(**same, channel="sms", order=1, wording="soon", condition="unless_confirmed")
    make_reminder_policy(**same, channel="email", order=2, wording="ask_to_confirm", condition="always")
    told = " ".join(signed_in("receptionist").get(f"{BOARD}policies/").content.decode().split())
    row = told.split('<th scope="row">7 hours</th>')[1].split("</tr>")[0].casefold()
    assert "text, else e-mail" in row
    assert "text: unless confirmed; e-mail: always" in row
    assert row.count("text: ") == row.count("e-mail: ") == 2
