"""Finds the clock a patient lives by; without it a text meant for nine in the morning would ring at six."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol
from zoneinfo import ZoneInfo

EASTERN, CENTRAL, MOUNTAIN, PACIFIC = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
OF_ONE_ZONE = {
    EASTERN: "CT DC DE GA MA MD ME NC NH NJ NY OH PA RI SC VA VT WV",
    CENTRAL: "AL AR IA IL LA MN MO MS OK WI",
    MOUNTAIN: "CO MT NM UT WY",
    PACIFIC: "CA WA",
    "Pacific/Honolulu": "HI",
    "America/Puerto_Rico": "PR VI",
    "Pacific/Guam": "GU MP",
    "Pacific/Pago_Pago": "AS",
}
SPLIT = {
    "AK": ("America/Anchorage", "America/Adak"),
    "AZ": ("America/Phoenix", MOUNTAIN),  # the Navajo Nation keeps summer time
    "FL": (EASTERN, CENTRAL),
    "ID": ("America/Boise", PACIFIC),
    "IN": ("America/Indiana/Indianapolis", CENTRAL),
    "KS": (CENTRAL, MOUNTAIN),
    "KY": (EASTERN, CENTRAL),
    "MI": ("America/Detroit", CENTRAL),
    "ND": (CENTRAL, MOUNTAIN),
    "NE": (CENTRAL, MOUNTAIN),
    "NV": (PACIFIC, MOUNTAIN),
    "OR": (PACIFIC, MOUNTAIN),
    "SD": (CENTRAL, MOUNTAIN),
    "TN": (EASTERN, CENTRAL),
    "TX": (CENTRAL, MOUNTAIN),
}
# Source: 49 CFR part 71, standard time zone boundaries (Department of Transportation); names and rules from tzdata.
STATES = MappingProxyType(
    {**{state: (zone,) for zone, states in OF_ONE_ZONE.items() for state in states.split()}, **SPLIT}
)


class Lives(Protocol):
    """What of a patient tells their zone."""

    @property
    def time_zone(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def state(self) -> str: ...


class InZone(Protocol):
    @property
    def zone(self) -> ZoneInfo: ...


def recipient_zones(patient: Lives, clinic: ZoneInfo) -> tuple[ZoneInfo, ...]:
    """Return the zone of the patient: their own setting, else their state's, else the clinic's.

    Several of a state that has several, unless the clinic lies in one of them: then nobody knows which one it is.
    """
    if patient.time_zone:
        return (ZoneInfo(patient.time_zone),)
    names = STATES.get(patient.state, ()) if patient.country == "US" else ()
    if len(names) == 1:
        return (ZoneInfo(names[0]),)
    if not names or any(_same_clock(ZoneInfo(name), clinic) for name in names):
        return (clinic,)
    return tuple(ZoneInfo(name) for name in names)


def recipient_zone(patient: Lives, clinic: InZone) -> ZoneInfo:
    """Return the patient's zone, the first of their state's where nobody knows which one it is."""
    return recipient_zones(patient, clinic.zone)[0]


def _same_clock(one: ZoneInfo, other: ZoneInfo) -> bool:
    """Whether two zones show the same time all year: America/Detroit and America/New_York do."""
    return one.key == other.key or list(_offsets(one)) == list(_offsets(other))


def _offsets(zone: ZoneInfo) -> Iterator[object]:
    for month in range(1, 13):
        yield datetime(2026, month, 15, tzinfo=UTC).astimezone(zone).utcoffset()
