"""Holds how long a claim still has, and what proves that it was filed in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import fact_parts, timely_filing
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.insurance.standing import OF_A_LINE
from backend.apps.insurance.tests.factories import line, make_claim, make_patient_insurance, make_plan
from backend.apps.insurance.tests.inquiry_factories import make_event, make_inbound, make_interchange, make_submission
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def serviced(days_ago: int, *, window: int | None = 100, **over: Any) -> InsuranceClaim:
    coverage = make_patient_insurance(insurance_plan=make_plan(timely_filing_days=window))
    return make_claim(patient_insurance=coverage, service_date=Clinic.today() - timedelta(days=days_ago), **over)


def running() -> list[Any]:
    return list(timely_filing.running(InsuranceClaim.objects.all(), Clinic.today()))


@pytest.mark.parametrize(
    ("days_ago", "left", "stage"),
    [
        (0, 100, "open"),
        (74, 26, "open"),
        (75, 25, "75"),
        (89, 11, "75"),
        (90, 10, "90"),
        (100, 0, "90"),
        (101, -1, "past"),
    ],
)
def test_the_window_of_the_plan_runs_from_the_day_of_service(days_ago: int, left: int, stage: str) -> None:
    serviced(days_ago)
    (row,) = running()
    assert (row.days_left, row.stage) == (left, stage)
    assert row.deadline == Clinic.today() + timedelta(days=left) == timely_filing.deadline(row)


@pytest.mark.parametrize("kind", ["medicare", "tricare"])
def test_a_plan_that_names_no_window_has_the_year_of_the_law(kind: str) -> None:
    plan = make_plan(timely_filing_days=None, plan_type=kind)
    claim = serviced(330, window=None)
    type(claim).objects.filter(pk=claim.pk).update(patient_insurance=make_patient_insurance(insurance_plan=plan))
    (row,) = running()
    assert (row.days_left, row.stage) == (35, "90")
    assert row.deadline == timely_filing.deadline(row)
    assert fact_parts.parts().plans[str(plan.pk)].filing_days == 365


def test_the_window_runs_from_the_first_day_of_the_lines() -> None:
    first = Clinic.today() - timedelta(days=80)
    claim = serviced(10, procedure_codes=[line(), line("25.00", code="36415", service_date=f"{first}")])
    (row,) = running()
    assert (row.days_left, row.stage) == (20, "75")
    assert row.deadline == first + timedelta(days=100) == timely_filing.deadline(claim)


@pytest.mark.parametrize(
    ("fields", "runs"),
    [
        ({"status": "draft"}, True),
        ({"status": "submitted"}, True),
        ({"status": "pending"}, True),
        ({"status": "rejected", "denial_reason": "x"}, True),
        ({"status": "accepted"}, False),
        ({"status": "denied", "denial_reason": "x"}, False),
        ({"window": None}, False),
    ],
)
def test_the_clock_runs_until_a_payer_has_accepted_the_claim(fields: dict[str, Any], runs: bool) -> None:
    serviced(10, **fields)
    assert bool(running()) is runs


def test_a_correction_has_a_window_of_its_own_and_is_not_counted() -> None:
    serviced(10, status="submitted", frequency="7", original=serviced(10, status="denied", denial_reason="x"))
    assert running() == []


def test_the_first_word_of_a_277ca_is_proof_before_a_999_and_names_both_files() -> None:
    claim, sent, inbound = serviced(30, status="accepted"), make_interchange(), make_inbound()
    tried = make_submission(claim, sent)
    day = claim.service_date + timedelta(days=5)
    make_event(claim, "999", "A", event_on=day - timedelta(days=1))
    make_event(claim, "277CA", "A2", event_on=day + timedelta(days=2))
    make_event(claim, "277CA", "A7", event_on=day - timedelta(days=2))
    make_event(claim, "277CA", "A1", event_on=day, file=inbound, interchange=sent, submission=tried)
    found = timely_filing.proof(claim)
    assert (found.kind, found.code, found.event_on, found.in_time) == ("277CA", "A1", day, True)
    assert (found.file_sha256, found.sent_sha256) == (inbound.sha256, sent.sha256)
    assert found.interchange_number == sent.interchange_number


def test_what_is_said_of_one_line_of_a_claim_is_no_proof() -> None:
    claim = serviced(30, status="pending")
    make_event(claim, "277CA", "A2", event_on=claim.service_date, details=[OF_A_LINE, "A2:20"])
    with pytest.raises(DomainError, match="no proof"):
        timely_filing.proof(claim)


def test_a_999_is_proof_where_no_277ca_came_and_a_late_word_is_told_as_late() -> None:
    claim = serviced(30, window=10, status="pending")
    make_event(claim, "999", "R", event_on=claim.service_date)
    with pytest.raises(DomainError, match="no proof"):
        timely_filing.proof(claim)
    make_event(claim, "999", "E", event_on=claim.service_date + timedelta(days=11))
    found = timely_filing.proof(claim)
    assert (found.kind, found.code, found.in_time) == ("999", "E", False)


def test_the_desk_reads_deadlines_in_their_order_and_the_proof() -> None:
    desk = client_for(make_user(role="receptionist"))
    early, late = serviced(10), serviced(95)
    rows = desk.get("/api/v1/insurance-claims/filing_deadlines/").data["results"]
    assert [(row["id"], row["days_left"], row["stage"]) for row in rows] == [
        (str(late.pk), 5, "90"),
        (str(early.pk), 90, "open"),
    ]
    first = desk.get("/api/v1/insurance-claims/filing_deadlines/?limit=1").data
    second = desk.get(first["next"]).data
    assert [row["id"] for row in second["results"]] == [str(early.pk)]
    url = f"/api/v1/insurance-claims/{early.pk}/filing_proof/"
    assert desk.get(url).status_code == 422
    make_event(early, "277CA", "A2", event_on=Clinic.today(), payer_claim_number="P1")
    assert (desk.get(url).data["code"], desk.get(url).data["payer_claim_number"]) == ("A2", "P1")
    assert client_for(make_user(role="nurse")).get(url).status_code == 403
