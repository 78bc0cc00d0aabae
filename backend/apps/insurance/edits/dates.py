"""Edits of days: nothing is served before birth, after today or in two years at once where a payer minds."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.people import birth
from backend.apps.insurance.edits.rules import Batch, Claim, Line, On, Severity, edit, is_day, last_day

ERROR = Severity.ERROR
CAR = "AA"
ACCIDENTS = frozenset({"AA", "EM", "OA"})
DELAYS = frozenset({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "15"})  # CLM20
YEAR = 4  # characters of YYYYMMDD


@edit("service-day-missing", ERROR, On.LINE, "service_date", "Enter the day of this service.")
def service_day_missing(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("from_on", lambda day: not is_day(day))


@edit("service-in-future", ERROR, On.LINE, "service_date", "This day has not come yet; bill after the service.")
def service_in_future(batch: Batch) -> Iterable[Line]:
    today = batch.today
    if max(batch.values("from_on") | batch.values("to_on"), default="") <= today:
        return ()
    return [line for line in batch.lines if line.from_on > today or line.to_on > today]


@edit(
    "service-before-birth",
    ERROR,
    On.LINE,
    "service_date",
    "This day is before the patient's birth; check both.",
    of_voids=False,
)
def service_before_birth(batch: Batch) -> Iterable[Line]:
    first = min(batch.values("from_on"), default="")
    if max(batch.of_claims.different("patient_birth") | batch.of_claims.different("holder_birth"), default="") <= first:
        return ()
    late = [claim for claim in batch.claims if claim.patient_birth > first or claim.holder_birth > first]
    return [line for claim in late for line in claim.lines if line.from_on < birth(claim)]


@edit(
    "service-ends-before-it-begins", ERROR, On.LINE, "service_to", "The last day of this service is before the first."
)
def service_ends_before_it_begins(batch: Batch) -> Iterable[Line]:
    lines = batch.lines if any(batch.values("to_on")) else ()
    return [line for line in lines if line.to_on and line.to_on < line.from_on]


@edit(
    "two-years", ERROR, On.CLAIM, "lines", "This payer wants a claim for each calendar year; split it.", of_voids=False
)
def two_years(batch: Batch) -> Iterable[Claim]:
    claims = batch.of_payers(lambda payer: payer.wants_one_year)
    return [claim for claim in claims if len({day[:YEAR] for line in claim.lines for day in _days(line)}) > 1]


def _days(line: Line) -> tuple[str, str]:
    return line.from_on, last_day(line)


@edit("accident-unknown", ERROR, On.CLAIM, "accident", "Say whether it was a car accident, one at work or another.")
def accident_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("accident", lambda text: text and not ACCIDENTS.issuperset(text.split(",")))


@edit("accident-day-missing", ERROR, On.CLAIM, "accident_on", "Enter the day of the accident.")
def accident_day_missing(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.claims_with("accident", bool) if not claim.accident_on]


@edit(
    "accident-state-missing", ERROR, On.CLAIM, "accident_state", "Enter the state in which the car accident happened."
)
def accident_state_missing(batch: Batch) -> Iterable[Claim]:
    claims = batch.claims_with("accident", lambda text: CAR in text)
    return [claim for claim in claims if claim.accident_state not in forms.STATES]


@edit(
    "accident-after-service",
    ERROR,
    On.CLAIM,
    "accident_on",
    "The accident is after the service; check both days.",
    of_voids=False,
)
def accident_after_service(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.claims_with("accident_on", bool) if claim.accident_on > _last(claim)]


@edit(
    "onset-after-service",
    ERROR,
    On.CLAIM,
    "onset_on",
    "The illness begins after the service; check both days.",
    of_voids=False,
)
def onset_after_service(batch: Batch) -> Iterable[Claim]:
    values = batch.of_claims.different
    return [
        claim
        for claim in (batch.claims if any(values("onset_on") | values("last_menstrual_on")) else ())
        if (claim.onset_on and claim.onset_on > _last(claim))
        or (claim.last_menstrual_on and claim.last_menstrual_on > _last(claim))
    ]


def _last(claim: Claim) -> str:
    return max(map(last_day, claim.lines), default=claim.service_on)


@edit(
    "discharge-before-admission",
    ERROR,
    On.CLAIM,
    "discharge_on",
    "The discharge is before the admission, or one is missing.",
)
def discharge_before_admission(batch: Batch) -> Iterable[Claim]:
    claims = batch.claims_with("discharge_on", bool)
    return [claim for claim in claims if not "" < claim.admission_on <= claim.discharge_on]


@edit("delay-reason-unknown", ERROR, On.CLAIM, "delay_reason", "Choose a known reason for the delay (1 to 11 or 15).")
def delay_reason_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("delay_reason", lambda reason: reason and reason not in DELAYS)
