"""On which days doctors were entitled to something, of many at once; else each claim would ask for its own doctor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from django.db import connection

from backend.apps.credentials.entitlement import OF_A_STATE, types_for
from backend.apps.credentials.models import Needed

Span = tuple[str, str]  # first and last day, "YYYYMMDD"
Spans = tuple[tuple[Span, ...], ...]  # of each type that is needed; somebody has it on a day within one of its spans
NEVER: Spans = ((),)
# Days of the clinic; an exception counts for each day on which it was in force at any time. Of the state as in
# `entitlement.holds_in`.
SPANS = """
    WITH clinic (zone, state) AS (
        SELECT COALESCE(min(time_zone), %(usual)s), COALESCE(upper(min(state)), '')
        FROM (SELECT time_zone, state FROM core_clinic WHERE NOT is_deleted ORDER BY created_at LIMIT 1) first)
    SELECT doctor_id::text, credential_type, to_char(issue_date, 'YYYYMMDD'),
        COALESCE(to_char(expiry_date, 'YYYYMMDD'), '99991231')
    FROM doctors_doctorcredential, clinic
    WHERE NOT is_deleted AND rejected_at IS NULL AND credential_type = ANY(%(types)s)
        AND (is_verified OR credential_type <> ALL(%(verified)s))
        AND (credential_type <> ALL(%(of_a_state)s) OR doctors_doctorcredential.state IN ('', clinic.state)
            OR clinic.state = '')
        AND (%(doctors)s::uuid[] IS NULL OR doctor_id = ANY(%(doctors)s::uuid[]))
    UNION ALL
    SELECT doctor_id::text, credential_type, to_char(granted_at AT TIME ZONE zone, 'YYYYMMDD'),
        to_char(LEAST(ended_at, expires_at) AT TIME ZONE zone, 'YYYYMMDD')
    FROM credentials_credentialoverride, clinic
    WHERE NOT is_deleted AND credential_type = ANY(%(types)s)
        AND (%(doctors)s::uuid[] IS NULL OR doctor_id = ANY(%(doctors)s::uuid[]))"""


def of(doctors: Collection[str] | None, needed: Needed) -> Mapping[str, Spans] | None:
    """Return by doctor's id on which days they had what is needed, None where nothing is. doctors: None for all."""
    wanted = types_for(needed)
    if not wanted:
        return None
    verified = [kind for kind, policy in wanted.items() if policy.must_be_verified]
    found: dict[str, dict[str, list[Span]]] = {}
    for doctor, kind, first, last in _rows(doctors, list(wanted), verified):
        found.setdefault(doctor, {}).setdefault(kind, []).append((first, last))
    return {doctor: tuple(tuple(kinds.get(kind, ())) for kind in wanted) for doctor, kinds in found.items()}


def among(found: Mapping[str, Spans] | None, doctor: str) -> Spans | None:
    """Return the days of one doctor, who may have none, out of those of many."""
    return None if found is None else found.get(doctor, NEVER)


def is_covered(spans: Spans, day: str) -> bool:
    return is_covered_from(spans, day, day)


def is_covered_from(spans: Spans, begin: str, end: str) -> bool:
    """Return whether one credential of each type lasts from one day to the other."""
    return all(any(first <= begin and end <= last for first, last in of_type) for of_type in spans)


def is_covered_throughout(spans: Spans, begin: str, end: str) -> bool:
    """Return whether each day from one to the other is covered, by one credential of each type after another."""
    return all(_joins(of_type, begin, end) for of_type in spans)


def _joins(of_type: Iterable[Span], begin: str, end: str) -> bool:
    for first, last in sorted(of_type):
        if first <= begin <= last < end:
            begin = f"{date.fromisoformat(last) + timedelta(days=1):%Y%m%d}"
        elif first <= begin and end <= last:
            return True
    return False


def _rows(doctors: Collection[str] | None, types: list[str], verified: list[str]) -> list[tuple[Any, ...]]:
    asked = None if doctors is None else list(doctors)
    of_a_state = [str(kind) for kind in OF_A_STATE]
    values = {
        "types": types, "verified": verified, "doctors": asked, "usual": "America/New_York", "of_a_state": of_a_state,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(SPANS, values)
        return cursor.fetchall()
