"""Holds by whose clock a patient is texted: their own, their state's, the clinic's, or all that may be theirs."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest

from backend.apps.appointments import zones

STATES_OF_THE_US = 50 + 1 + 5  # with the District of Columbia and the inhabited territories


@dataclass
class Somebody:
    time_zone: str = ""
    country: str = "US"
    state: str = ""


def keys(patient: Somebody, clinic: str = "America/New_York") -> list[str]:
    return [zone.key for zone in zones.recipient_zones(patient, ZoneInfo(clinic))]


@pytest.mark.parametrize(
    ("patient", "clinic", "expected"),
    [
        (Somebody("Asia/Kathmandu", state="CA"), "America/New_York", ["Asia/Kathmandu"]),
        (Somebody(state="CA"), "America/New_York", ["America/Los_Angeles"]),
        (Somebody(state="HI"), "America/New_York", ["Pacific/Honolulu"]),
        (Somebody(state="PR"), "America/New_York", ["America/Puerto_Rico"]),
        (Somebody(state="TN"), "America/Chicago", ["America/Chicago"]),
        (Somebody(state="TN"), "America/Denver", ["America/New_York", "America/Chicago"]),
        (Somebody(state="MI"), "America/New_York", ["America/New_York"]),  # Detroit shows the same time
        (Somebody(state="AZ"), "America/Phoenix", ["America/Phoenix"]),
        (Somebody(state="AZ"), "America/New_York", ["America/Phoenix", "America/Denver"]),
        (Somebody(), "America/Boise", ["America/Boise"]),
        (Somebody(country="NP", state="CA"), "America/New_York", ["America/New_York"]),
        (Somebody(state="somewhere"), "America/New_York", ["America/New_York"]),
    ],
)
def test_the_patients_own_zone_counts_then_the_states_then_the_clinics(
    patient: Somebody, clinic: str, expected: list[str]
) -> None:
    assert keys(patient, clinic) == expected


def test_every_state_is_known_and_every_name_is_a_zone() -> None:
    assert len(zones.STATES) == STATES_OF_THE_US
    names = {name for found in zones.STATES.values() for name in found}
    assert names <= zoneinfo.available_timezones()
    assert {state for state, found in zones.STATES.items() if len(found) > 1} == set(zones.SPLIT)
