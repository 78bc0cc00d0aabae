"""Holds that silence is told once, says again while it lasts, and clears by itself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert, Clinic
from backend.apps.insurance import watching
from backend.apps.insurance.models import ControlNumber, InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, make_plan, partner
from backend.apps.insurance.tests.inquiry_factories import (
    make_deposit,
    make_event,
    make_inbound,
    make_interchange,
    make_remittance,
    make_submission,
)
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def told(kind: str) -> list[str]:
    return list(
        Alert.objects.filter(kind=kind, resolved_at=None).order_by("sentence").values_list("sentence", flat=True)
    )


def hours_ago(hours: float) -> Any:
    return timezone.now() - timedelta(hours=hours)


@pytest.fixture
def by() -> TradingPartner:
    return partner(ack_hours=24, remittance_days=30, collected_at=timezone.now())


def test_a_file_without_an_answer_is_told_once_and_clears_when_the_answer_comes(by: TradingPartner) -> None:
    file = make_interchange(by, sent_at=hours_ago(25))
    make_interchange(by, sent_at=hours_ago(23))
    make_interchange(by, sent_at=hours_ago(50), kind="270")
    watching.look()
    watching.look()
    (sentence,) = told(watching.SILENT_FILE)
    assert (
        sentence
        == f"File {file.interchange_number} to {by.name} has had no answer for 24 hours; ask whether it arrived."
    )
    Interchange.objects.filter(pk=file.pk).update(ta1_at=timezone.now(), ta1_code="A")
    watching.look()
    assert told(watching.SILENT_FILE) == []
    assert Alert.objects.filter(kind=watching.SILENT_FILE).count() == 1


def test_a_file_is_told_early_when_a_later_one_was_answered(by: TradingPartner) -> None:
    lost = make_interchange(by, sent_at=hours_ago(2))
    make_interchange(by, sent_at=hours_ago(1.5), acknowledged_at=timezone.now(), status="acknowledged")
    make_interchange(by, sent_at=hours_ago(1.2))
    watching.look()
    alert = Alert.objects.get(kind=watching.SILENT_FILE)
    assert (alert.subject_id, alert.severity) == (str(lost.pk), "critical")


def test_a_file_with_a_ta1_and_no_999_is_told_until_it_is_read_or_its_claims_are_spoken_of(by: TradingPartner) -> None:
    file = make_interchange(by, sent_at=hours_ago(50), ta1_at=hours_ago(25), ta1_code="A")
    make_interchange(by, sent_at=hours_ago(50), ta1_at=hours_ago(23), ta1_code="A")
    make_interchange(by, sent_at=hours_ago(50), ta1_at=hours_ago(25), acknowledged_at=hours_ago(1))
    heard = make_interchange(by, sent_at=hours_ago(50))
    make_event(make_claim(), "277CA", "A1", file=make_inbound(by), interchange=heard)
    watching.look()
    assert told(watching.SILENT_FILE) == [
        f"File {file.interchange_number} to {by.name} arrived, but nobody has read it for 24 hours; ask for its 999."
    ]
    Interchange.objects.filter(pk=file.pk).update(acknowledged_at=timezone.now(), status="acknowledged")
    watching.look()
    assert told(watching.SILENT_FILE) == []


def test_a_silent_file_that_a_person_settled_is_not_told_again(by: TradingPartner) -> None:
    make_interchange(by, sent_at=hours_ago(25))
    watching.look()
    alerts.resolve(Alert.objects.get(), by=make_user())
    watching.look()
    assert told(watching.SILENT_FILE) == []


def test_files_in_doubt_and_held_are_counted_for_their_partner(by: TradingPartner) -> None:
    make_interchange(by, status="in_doubt", work_state="waiting")
    make_interchange(by, status="staged", work_state="held")
    make_interchange(by, status="ready", work_state="failed")
    make_interchange(by)
    watching.look()
    assert told(watching.HELD_FILES) == [f"3 files to {by.name} wait for a person."]


def test_a_partner_that_nothing_could_be_collected_from_is_told() -> None:
    away = partner(collected_at=hours_ago(3))
    partner(collected_at=hours_ago(1))
    partner(collected_at=hours_ago(3), paused_at=timezone.now())
    partner(collected_at=hours_ago(3), is_active=False)
    watching.look()
    assert told(watching.UNREACHED) == [f"No answers could be collected from {away.name} for hours."]


def test_what_has_been_in_quarantine_for_a_day_is_told(by: TradingPartner) -> None:
    make_inbound(by, status="quarantined", received_at=hours_ago(25))
    make_inbound(by, status="quarantined", received_at=hours_ago(23))
    old = make_remittance(partner=by, status="quarantined")
    type(old).objects.filter(pk=old.pk).update(created_at=hours_ago(25))
    watching.look()
    assert told(watching.QUARANTINED) == [
        f"1 files from {by.name} have waited for a person for more than a day.",
        f"1 remittances from {by.name} have waited for a person for more than a day.",
    ]


def accepted(by: TradingPartner, days_ago: int, **over: Any) -> InsuranceClaim:
    day = Clinic.today() - timedelta(days=days_ago)
    claim = make_claim(**{"status": "accepted", "response_date": day, "service_date": day, **over})
    make_submission(claim, make_interchange(by), status="accepted")
    return claim


def test_accepted_claims_without_a_remittance_are_listed_and_one_alert_counts_them(by: TradingPartner) -> None:
    late = accepted(by, 31)
    accepted(by, 30)
    accepted(by, 90, status="paid", paid_amount=Decimal(1), payment_date=Clinic.today())
    make_claim(status="accepted", response_date=Clinic.today() - timedelta(days=90))  # on paper: no partner to ask
    watching.look_daily()
    assert told(watching.UNANSWERED) == [f"1 claims accepted through {by.name} have had no remittance for 30 days."]
    rows = client_for(make_user(role="receptionist")).get("/api/v1/insurance-claims/unanswered/").data["results"]
    assert [(row["id"], row["partner"]) for row in rows] == [(str(late.pk), str(by.pk))]


@pytest.mark.parametrize("status", ["submitted", "pending"])
def test_a_claim_of_which_nobody_says_more_after_the_999_or_a1_is_listed(by: TradingPartner, status: str) -> None:
    late, soon = accepted(by, 11, status=status), accepted(by, 10, status=status)
    quick = partner(remittance_days=5)
    sooner = accepted(quick, 6, status=status)
    watching.look_daily()
    assert told(watching.UNANSWERED) == [
        f"1 claims sent through {one.name} have been neither accepted nor rejected for {days} days."
        for one, days in sorted([(by, 10), (quick, 5)], key=lambda pair: pair[0].name)
    ]
    assert {row.pk for row in watching.unanswered(InsuranceClaim.objects.all())} == {late.pk, sooner.pk}
    InsuranceClaim.objects.exclude(pk=soon.pk).update(status="rejected", denial_reason="As the codes say.")
    watching.look_daily()
    assert told(watching.UNANSWERED) == []


@pytest.mark.parametrize("status", ["submitted", "pending", "accepted"])
def test_a_claim_that_no_partner_has_is_not_listed_and_hides_nothing_that_is(by: TradingPartner, status: str) -> None:
    day = Clinic.today() - timedelta(days=90)
    make_claim(status=status, service_date=day, submission_date=day)
    late = accepted(by, 31)
    watching.look_daily()
    assert told(watching.UNANSWERED) == [f"1 claims accepted through {by.name} have had no remittance for 30 days."]
    assert [row.pk for row in watching.unanswered(InsuranceClaim.objects.all())] == [late.pk]


def test_a_claim_whose_payment_was_taken_back_waits_for_a_new_decision_unless_another_claim_follows_it(
    by: TradingPartner,
) -> None:
    waiting, replaced = accepted(by, 31), accepted(by, 31)
    Submission.objects.update(status="adjudicated")
    make_claim(original=replaced, frequency="7", status="submitted")
    accepted(by, 31)
    watching.look_daily()
    assert told(watching.UNANSWERED) == [
        f"1 claims accepted through {by.name} have had no new decision after theirs was taken back for 30 days.",
        f"1 claims accepted through {by.name} have had no remittance for 30 days.",
    ]
    listed = watching.unanswered(InsuranceClaim.objects.all())
    assert {row.pk: row.lacks for row in listed}[waiting.pk] == "decision"
    assert replaced.pk not in {row.pk for row in listed}


def test_a_number_that_was_given_out_and_belongs_to_no_file_is_told(by: TradingPartner) -> None:
    for _ in range(3):
        make_interchange(by)
    assert watching.number_gaps() == []
    Interchange.objects.filter(partner=by, interchange_number=2)._raw_delete("default")
    ControlNumber.objects.filter(partner=by, kind="isa").update(last=5)
    assert [(gap.first, gap.last) for gap in watching.number_gaps()] == [(2, 2), (4, 5)]
    watching.look_daily()
    assert len(told(watching.NUMBER_GAP)) == 2


def test_drafts_that_nobody_submits_are_listed_and_counted(by: TradingPartner) -> None:
    old, queued, _new = make_claim(), make_claim(), make_claim()
    InsuranceClaim.objects.filter(pk__in=[old.pk, queued.pk]).update(created_at=hours_ago(24 * 6))
    make_submission(queued, make_interchange(by), status="queued")
    watching.look_daily()
    assert told(watching.UNBILLED) == ["1 claims have been drafts for more than 5 days and are not submitted."]
    rows = client_for(make_user(role="receptionist")).get("/api/v1/insurance-claims/unbilled/").data["results"]
    assert [row["id"] for row in rows] == [str(old.pk)]


def test_claims_that_run_out_of_time_are_counted_in_two_alerts() -> None:
    coverage = make_patient_insurance(insurance_plan=make_plan(timely_filing_days=100))
    for days in (10, 80, 95, 95, 101):
        make_claim(patient_insurance=coverage, service_date=Clinic.today() - timedelta(days=days))
    watching.look_daily()
    assert told(watching.FILING) == [
        "1 claims were not accepted in the time in which their payer takes them.",
        "2 claims are in the last tenth of the time in which their payer takes them.",
    ]


def test_a_look_that_dies_in_the_middle_days_late_is_followed_by_one_that_tells_the_rest_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coverage = make_patient_insurance(insurance_plan=make_plan(timely_filing_days=100))
    make_claim(patient_insurance=coverage, service_date=Clinic.today() - timedelta(days=130))
    InsuranceClaim.objects.update(created_at=hours_ago(24 * 20))

    def dies(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(watching, "_unbilled", dies)
    with pytest.raises(RuntimeError):
        watching.look_daily()
    assert (len(told(watching.FILING)), told(watching.UNBILLED)) == (1, [])
    monkeypatch.undo()
    for _ in range(2):
        watching.look_daily()
    assert (len(told(watching.FILING)), len(told(watching.UNBILLED))) == (1, 1)
    assert set(Alert.objects.values_list("times", flat=True)) == {1}


def test_money_without_a_remittance_and_remittances_without_money_are_told_after_a_week() -> None:
    old = Clinic.today() - timedelta(days=8)
    make_remittance(paid_on=old)
    watching.look_daily()
    assert told(watching.NO_REMITTANCE) == []  # a practice that enters no deposits is not reminded
    make_deposit(trace="LONELY", received_on=old)
    watching.look_daily()
    assert len(told(watching.NO_REMITTANCE)) == 2


def test_no_alert_names_a_patient(by: TradingPartner) -> None:
    make_interchange(by, sent_at=hours_ago(25))
    accepted(by, 31)
    watching.look()
    watching.look_daily()
    assert Alert.objects.exists()
    assert not Alert.objects.filter(sentence__icontains="okafor").exists()
