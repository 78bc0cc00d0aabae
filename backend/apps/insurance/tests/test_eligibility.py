"""Holds when payers are asked about a coverage, and what their answers change."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import eligibility, eligibility_answers, inquiries, numbering, services
from backend.apps.insurance.models import (
    EligibilityInquiry,
    InboundFile,
    Interchange,
    PartnerPayer,
    PatientInsurance,
    TradingPartner,
)
from backend.apps.insurance.tests.factories import make_patient_insurance, make_plan, partner, route

pytestmark = pytest.mark.django_db

Verification = PatientInsurance.Verification


def askable(**over: Any) -> PatientInsurance:
    """Save a coverage whose payer answers 270s."""
    coverage = make_patient_insurance(**over)
    route(provider=coverage.insurance_plan.provider, answers_eligibility=True)
    return coverage


def of_same_payer(other: PatientInsurance) -> PatientInsurance:
    return make_patient_insurance(insurance_plan=other.insurance_plan)


def question(coverage: PatientInsurance, **over: Any) -> EligibilityInquiry:
    """Save a question that was sent an hour ago."""
    by = PartnerPayer.objects.get(provider=coverage.insurance_plan.provider_id).partner
    at = timezone.now() - timedelta(hours=1)
    usual = {"service_on": Clinic.today(), "status": "sent", "queued_at": at, "sent_at": at}
    fields = {**usual, "trace": inquiries.new_trace(), "partner": by, **over}
    return EligibilityInquiry.objects.create(coverage=coverage, **fields)


def inbound(by: TradingPartner) -> InboundFile:
    name = uuid.uuid4().hex
    return InboundFile.objects.create(
        partner=by, name=name, size_bytes=1, sha256=name, content=b"x", dedupe_key=f"inbound:{name}"
    )


def interchange(by: TradingPartner, **over: Any) -> Interchange:
    numbers = numbering.take(by)
    return Interchange.objects.create(**{
        "partner": by, "kind": "270", "interchange_number": numbers.interchange, "group_number": numbers.group,
        "file_name": f"{numbers.interchange}.x12", "content": b"x", "sha256": "0" * 64, "size_bytes": 1,
        "dedupe_key": f"interchange:{uuid.uuid4()}", **over,
    })  # fmt: skip


def answer(to: EligibilityInquiry, *, aaa: str = "", **over: Any) -> Any:
    rejects = [SimpleNamespace(level="subscriber", code=aaa, follow_up="C")] if aaa else []
    usual = {
        "level": "subscriber", "traces": (to.trace,), "reference": "", "payer_id": "", "plan_begins": None,
        "plan_ends": None, "rejects": rejects, "benefits": (), "active": None if aaa else True,
    }  # fmt: skip
    return SimpleNamespace(**{**usual, **over})


def take(to: EligibilityInquiry, **over: Any) -> str:
    return take_one(answer(to, **over), to.partner)


def take_one(told: Any, by: TradingPartner) -> str:
    (word,) = eligibility_answers.take_each([told], file=inbound(by))
    return word


def status(coverage: PatientInsurance) -> str:
    coverage.refresh_from_db()
    return coverage.verification_status


def test_asking_twice_about_a_day_is_one_question() -> None:
    coverage = askable()
    first = eligibility.ask(by=None, coverage=coverage)
    assert eligibility.ask(by=None, coverage=coverage) == first
    assert (first.status, first.service_on) == ("queued", Clinic.today())


def test_a_question_that_was_to_be_asked_later_is_asked_now_when_a_person_asks() -> None:
    coverage = askable()
    later = question(coverage, status="queued", sent_at=None, queued_at=timezone.now() + timedelta(hours=4))
    assert eligibility.ask(by=None, coverage=coverage).pk == later.pk
    later.refresh_from_db()
    assert later.queued_at <= timezone.now()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers_eligibility": False}, "by phone"),
        ({"is_active": False}, "by phone"),
        ({"partner__is_active": False}, "by phone"),
    ],
)
def test_a_payer_that_cannot_be_reached_is_not_asked(change: dict[str, Any], words: str) -> None:
    coverage = askable()
    way = PartnerPayer.objects.get()
    for name, value in change.items():
        row, field = (way.partner, name.partition("__")[2]) if "__" in name else (way, name)
        setattr(row, field, value)
        row.save()
    with pytest.raises(DomainError, match=words):
        eligibility.ask(by=None, coverage=coverage)
    assert not EligibilityInquiry.objects.exists()


def test_nobody_is_asked_about_a_day_without_coverage() -> None:
    coverage = askable(termination_date=Clinic.today() - timedelta(days=1))
    with pytest.raises(DomainError, match="does not hold"):
        eligibility.ask(by=None, coverage=coverage)


def test_in_a_list_one_that_cannot_be_asked_about_costs_only_itself() -> None:
    good, bad = askable(), make_patient_insurance()
    told = eligibility.ask_each(coverages=[bad, good], by=None)
    assert [one.outcome for one in told] == ["refused", "asked"]
    assert EligibilityInquiry.objects.get().coverage == good


def test_an_active_plan_verifies_and_keeps_codes_and_amounts_only() -> None:
    coverage = askable()
    asked = question(coverage)
    copay = SimpleNamespace(
        code="B", coverage_level="IND", service_types=("98",), period="27", amount=Decimal("25"), percent=None,
        quantity_qualifier="", quantity="", authorization="", in_network="Y", plan="GOLD OF ADA", messages=("ADA",),
    )  # fmt: skip
    assert take(asked, benefits=(copay,)) == "applied"
    asked.refresh_from_db()
    assert (status(coverage), coverage.last_verified_date) == ("verified", Clinic.today())
    assert (asked.status, asked.is_active) == ("answered", True)
    assert asked.benefits == [
        {"code": "B", "level": "IND", "types": ["98"], "period": "27", "amount": "25", "in_network": "Y"}
    ]


@pytest.mark.parametrize(
    ("said", "outcome", "expected", "becomes"),
    [
        ({"active": False}, "applied", "failed", "answered"),
        ({"active": None}, "noted", "unverified", "answered"),
        ({"aaa": "72"}, "applied", "failed", "rejected"),
        ({"aaa": "67"}, "applied", "failed", "rejected"),
        ({"aaa": "75"}, "applied", "failed", "rejected"),
        ({"aaa": "43"}, "noted", "unverified", "rejected"),
        ({"aaa": "42"}, "again", "unverified", "rejected"),
        ({"aaa": "80"}, "again", "unverified", "rejected"),
        ({"plan_ends": date(2024, 12, 31)}, "applied", "failed", "answered"),
        ({"plan_begins": date(2024, 1, 1), "plan_ends": date(2999, 12, 31)}, "applied", "verified", "answered"),
    ],
)
def test_what_each_answer_makes_of_a_coverage(said: dict[str, Any], outcome: str, expected: str, becomes: str) -> None:
    coverage = askable()
    asked = question(coverage)
    assert take(asked, **said) == outcome
    asked.refresh_from_db()
    assert (status(coverage), asked.status) == (expected, becomes)


def test_no_text_of_an_answer_reaches_codes_or_benefits() -> None:
    asked = question(askable())
    name = "ADA"
    texts = dict.fromkeys(
        ["code", "coverage_level", "period", "quantity_qualifier", "quantity", "authorization", "in_network", "plan"],
        name,
    )
    benefit = SimpleNamespace(**texts, service_types=("30", name), amount=None, percent=None, messages=(name,))
    rejects = [SimpleNamespace(level=name, code=name, follow_up=name)]
    take(asked, rejects=rejects, benefits=(benefit,))
    asked.refresh_from_db()
    assert (asked.codes, asked.benefits) == (["AAA:other::"], [{"types": ["30"]}])


def test_many_answers_take_as_few_statements_as_one(django_assert_max_num_queries: Any) -> None:
    first = askable()
    by = PartnerPayer.objects.get().partner
    coverages = [first, *(of_same_payer(first) for _ in range(11))]
    rows = [question(one) for one in coverages]
    said: list[dict[str, Any]] = [{}, {"active": False}, {"aaa": "42"}, {"aaa": "75"}]
    told = [answer(row, **said[place % 4]) for place, row in enumerate(rows)]
    file = inbound(by)
    with django_assert_max_num_queries(20):
        words = eligibility_answers.take_each([*told, answer(rows[0])], file=file)
    assert words == [*["applied", "applied", "again", "applied"] * 3, "repeated"]
    assert [status(one) for one in coverages[:4]] == ["verified", "failed", "unverified", "failed"]
    assert EligibilityInquiry.objects.filter(status="queued").count() == 3


def test_of_two_answers_about_one_coverage_in_a_file_the_later_question_counts() -> None:
    coverage = askable()
    day = Clinic.today() + timedelta(days=1)
    older = question(coverage, service_on=day, queued_at=timezone.now() - timedelta(days=1))
    newer = question(coverage)
    told = [answer(newer, active=False), answer(older)]
    assert eligibility_answers.take_each(told, file=inbound(newer.partner)) == ["applied", "noted"]
    assert status(coverage) == "failed"


def test_an_answer_that_comes_twice_counts_once() -> None:
    coverage = askable()
    asked = question(coverage)
    take(asked)
    coverage.refresh_from_db()
    coverage.verify(passed=False)
    assert take(asked) == "repeated"
    assert status(coverage) == "failed"


def test_a_trace_that_is_not_ours_is_unknown() -> None:
    asked = question(askable())
    assert take(asked, traces=("NOT OURS",)) == "unknown"
    assert take_one(answer(asked), partner()) == "unknown"
    asked.refresh_from_db()
    assert asked.status == "sent"


def test_an_answer_about_what_the_coverage_was_before_it_changed_changes_nothing() -> None:
    coverage = askable()
    asked = question(coverage)
    services.change_coverage(coverage, by=None, member_id="W987654321")
    assert take(asked) == "noted"
    assert status(coverage) == "unverified"
    again = eligibility.ask(by=None, coverage=coverage)
    assert again.pk != asked.pk


def test_an_earlier_question_that_is_answered_later_changes_nothing() -> None:
    coverage = askable()
    day = Clinic.today() + timedelta(days=1)
    older = question(coverage, service_on=day, queued_at=timezone.now() - timedelta(days=1))
    take(question(coverage), active=False)
    assert take(older) == "noted"
    assert status(coverage) == "failed"


def test_a_payer_that_says_later_is_asked_again_an_hour_later_then_two_and_not_for_ever() -> None:
    coverage, waits = askable(), []
    asked = question(coverage)
    for _ in range(eligibility_answers.TRIES - 1):
        assert take(asked, aaa="42") == "again"
        asked = EligibilityInquiry.objects.get(status="queued")
        waits.append(round((asked.queued_at - timezone.now()) / timedelta(hours=1)))
    assert waits == [1, 2, 4, 8]
    assert take(asked, aaa="42") == "noted"
    assert not EligibilityInquiry.objects.filter(status="queued").exists()


def test_a_file_nobody_can_answer_now_is_asked_again_question_by_question_of_that_payer_only() -> None:
    one = askable()
    by = PartnerPayer.objects.get().partner
    two, other = of_same_payer(one), make_patient_insurance(insurance_plan=make_plan())
    route(provider=other.insurance_plan.provider, partner=by, answers_eligibility=True)
    sent = interchange(by, status="sent")
    rows = [question(row, interchange=sent) for row in (one, two, other)]
    told = answer(
        rows[0], aaa="42", level="source", traces=(), reference=f"{sent.interchange_number:09}0001",
        payer_id=PartnerPayer.objects.get(provider=one.insurance_plan.provider_id).payer_id,
    )  # fmt: skip
    assert take_one(told, by) == "again"
    asked_again = EligibilityInquiry.objects.filter(status="queued").values_list("coverage", flat=True)
    assert set(asked_again) == {one.pk, two.pk}
    assert take_one(told, by) == "unknown"


def test_who_comes_soon_and_who_was_not_verified_for_a_month_is_asked_about_once() -> None:
    today = Clinic.today()
    near, stale = askable(), askable(last_verified_date=today - timedelta(days=31), verification_status="verified")
    askable(last_verified_date=today - timedelta(days=29), verification_status="verified")
    askable(termination_date=today - timedelta(days=1))
    make_patient_insurance()
    visit = make_appointment(
        patient=near.patient, appointment_datetime=timezone.now() + timedelta(days=2), status="confirmed"
    )
    PatientInsurance.objects.filter(pk=near.pk).update(last_verified_date=today - timedelta(days=10))
    assert eligibility.due() == 2
    asked = dict(EligibilityInquiry.objects.values_list("coverage", "service_on"))
    visit_day = timezone.localdate(visit.appointment_datetime, timezone=Clinic.current().zone)
    assert asked == {near.pk: visit_day, stale.pk: today}
    assert eligibility.due() == 0
    assert status(stale) == "expired"


def test_a_look_that_dies_in_the_middle_days_late_is_followed_by_one_that_asks_the_rest_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near, stale = askable(), askable(last_verified_date=Clinic.today() - timedelta(days=75))
    make_appointment(patient=near.patient, appointment_datetime=timezone.now() + timedelta(hours=1))

    def dies(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(eligibility, "_stale", dies)
    with pytest.raises(RuntimeError):
        eligibility.due()
    assert EligibilityInquiry.objects.get().coverage == near
    monkeypatch.undo()
    assert (eligibility.due(), eligibility.due()) == (1, 0)
    assert set(EligibilityInquiry.objects.values_list("coverage", flat=True)) == {near.pk, stale.pk}


@pytest.mark.parametrize("comes_soon", [True, False])
def test_a_coverage_that_was_changed_is_asked_about_at_once_and_not_twice(comes_soon: bool) -> None:
    coverage = askable()
    if comes_soon:
        make_appointment(
            patient=coverage.patient, appointment_datetime=timezone.now() + timedelta(days=2), status="confirmed"
        )
    take(question(coverage))
    assert (status(coverage), eligibility.due()) == ("verified", 0)
    services.change_coverage(coverage, by=None, member_id="W987654321")
    assert (eligibility.due(), eligibility.due()) == (1, 0)
    waiting = EligibilityInquiry.objects.get(status="queued")
    services.change_coverage(coverage, by=None, member_id="W987654322")  # what is not sent yet asks about it as it is
    assert eligibility.due() == 0
    take(waiting, active=None)
    assert (status(coverage), eligibility.due()) == ("unverified", 0)  # the payer did not say: not again on this day


def test_a_changed_coverage_comes_before_those_never_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    first = askable()
    changed = of_same_payer(first)
    PatientInsurance.objects.filter(pk=changed.pk).update(last_verified_date=Clinic.today())
    monkeypatch.setattr(eligibility, "MOST_A_DAY", 1)
    assert eligibility.due() == 1
    assert EligibilityInquiry.objects.get().coverage == changed


def test_a_daily_look_asks_no_more_than_its_most(monkeypatch: pytest.MonkeyPatch) -> None:
    first = askable()
    for _ in range(3):
        of_same_payer(first)
    monkeypatch.setattr(eligibility, "MOST_A_DAY", 3)
    assert (eligibility.due(), eligibility.due()) == (3, 1)


def test_a_question_nobody_answers_for_two_days_is_asked_once_more() -> None:
    coverage = askable()
    long_ago = timezone.now() - timedelta(hours=49)
    question(coverage, sent_at=long_ago)
    question(askable(), sent_at=timezone.now() - timedelta(hours=47))
    assert eligibility.expire() == (1, 1)
    assert EligibilityInquiry.objects.filter(coverage=coverage, status="queued").update(status="sent", sent_at=long_ago)
    assert eligibility.expire() == (1, 0)


def test_a_question_whose_file_was_turned_back_is_asked_once_more_at_once() -> None:
    coverage = askable()
    by = PartnerPayer.objects.get().partner
    question(coverage, interchange=interchange(by, status="rejected"))
    assert eligibility.expire() == (1, 1)


def test_a_late_answer_to_a_question_that_was_given_up_still_counts() -> None:
    coverage = askable()
    asked = question(coverage, sent_at=timezone.now() - timedelta(hours=49))
    eligibility.expire()
    assert take(EligibilityInquiry.objects.get(pk=asked.pk)) == "applied"
    assert status(coverage) == Verification.VERIFIED
