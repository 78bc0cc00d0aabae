"""Holds what people may do with orders and results, and that a chart being filed is not written under."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import services
from backend.apps.laboratory.models import LabOrder, LabResult
from backend.apps.laboratory.tests.factories import (
    NOON,
    make_inbound_message,
    make_lab_order,
    make_lab_result,
    make_lab_test,
    observation_in,
    order_in,
    report_in,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for


@pytest.mark.django_db
def test_a_nurse_orders_in_the_name_of_a_doctor_and_names_one() -> None:
    nurse, patient, tests = make_user(role="nurse"), make_patient(), [make_lab_test()]
    with pytest.raises(DomainError, match="needs the doctor"):
        services.order(by=nurse, patient=patient, tests=tests)
    doctor = make_doctor()
    assert services.order(by=nurse, patient=patient, tests=tests, doctor=doctor).doctor == doctor


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["specimen_collected", "in_progress", "completed", "cancelled"])
def test_an_order_the_laboratory_works_on_does_not_change(status: str) -> None:
    order = make_lab_order(status=status)
    with pytest.raises(DomainError, match="write another"):
        services.revise(order, by=None, priority="stat")


@pytest.mark.django_db
def test_an_order_changes_its_tests_but_never_its_patient() -> None:
    order, test = make_lab_order(), make_lab_test()
    services.revise(order, by=None, tests=[test], priority="stat")
    assert list(LabOrder.objects.get(pk=order.pk).tests.all()) == [test]
    with pytest.raises(DomainError, match="patient of an order stays"):
        services.revise(order, by=None, patient=make_patient(first_name="Bea"))


@pytest.mark.django_db
def test_an_order_without_a_test_is_not_placed() -> None:
    with pytest.raises(DomainError, match="at least one test"):
        services.place(make_lab_order(tests=[]), by=None)


@pytest.mark.django_db
def test_a_preliminary_result_entered_by_hand_is_followed_by_the_final_one() -> None:
    order, tech = make_lab_order(status="specimen_collected"), make_user(role="lab_tech")
    entry = {"by": tech, "lab_order": order, "lab_test": order.tests.get()}
    services.enter_result(**entry, status="preliminary", result_value="4")
    order.refresh_from_db()
    assert order.status == "in_progress"
    final = services.enter_result(**entry, status="final", result_value="4.2")
    assert (final.version, final.is_current, final.entered_by) == (2, True, tech)
    with pytest.raises(Conflict, match="correct that one"):
        services.enter_result(**entry, status="final", result_value="4.3")
    order.refresh_from_db()
    assert order.status == "completed"


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["pending", "cancelled"])
def test_no_result_is_entered_for_an_order_nobody_works_on(status: str) -> None:
    order = make_lab_order(status=status)
    with pytest.raises(DomainError, match="cannot be entered"):
        services.enter_result(by=None, lab_order=order, lab_test=order.tests.get(), result_value="4")


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["pending", "preliminary"])
def test_what_is_not_final_is_not_corrected(status: str) -> None:
    with pytest.raises(DomainError, match="final one instead"):
        services.correct(make_lab_result(status=status), by=None, result_value="5")


@pytest.mark.django_db
def test_a_correction_by_hand_follows_a_laboratory_whose_clock_is_ahead() -> None:
    result = make_lab_result(reported_at=NOON + timedelta(days=4000))
    new = services.correct(result, by=make_user(role="lab_tech"), result_value="5")
    assert (new.is_current, new.version, new.numeric_value) == (True, 2, None)


@pytest.mark.django_db
def test_a_correction_asks_for_another_look_even_if_nothing_else_of_the_order_changes() -> None:
    order = make_lab_order(status="completed", completed_at=NOON + timedelta(days=4000))
    make_lab_result(lab_order=order, reported_at=order.completed_at)
    result = make_lab_result(lab_order=order)
    order.review(make_user(role="doctor"))
    services.correct(result, by=make_user(role="lab_tech"), result_value="5")
    order.refresh_from_db()
    assert (order.status, order.completed_at, order.reviewed_at) == ("completed", NOON + timedelta(days=4000), None)


@pytest.mark.django_db
def test_a_version_that_is_no_longer_current_is_neither_corrected_nor_verified() -> None:
    result = make_lab_result()
    services.correct(result, by=make_user(role="lab_tech"), result_value="5")
    with pytest.raises(Conflict):
        services.correct(result, by=make_user(role="lab_tech"), result_value="6")
    with pytest.raises(Conflict, match="newer version"):
        result.verify(make_user(role="doctor"))


def at_once(*jobs: Any) -> list[Any]:
    """Run the jobs in threads of their own, begun together; return what each returned or raised."""
    outcomes: list[Any] = [None] * len(jobs)
    start = threading.Barrier(len(jobs))

    def run(number: int, job: Any) -> None:
        start.wait()
        try:
            outcomes[number] = job()
        except DomainError as error:
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return outcomes


@pytest.mark.django_db(transaction=True)
def test_messages_filed_at_once_end_in_one_chart() -> None:
    patient = make_patient()
    reports = [
        report_in(
            patient,
            order_in(
                observation_in(value=str(hour), status="corrected"),
                reported_at=NOON + timedelta(hours=hour),
                placer="P",
            ),
        )
        for hour in range(1, 7)
    ]
    jobs = [partial(services.file_report, make_inbound_message(), report) for report in reports]
    outcomes = at_once(*jobs)
    assert [outcome.status for outcome in outcomes] == ["filed"] * 6
    assert LabOrder.objects.count() == 1
    versions = list(LabResult.objects.order_by("version").values_list("version", "result_value", "is_current"))
    assert versions == [(number, str(number), number == 6) for number in range(1, 7)]


@pytest.mark.django_db(transaction=True)
def test_a_correction_by_hand_and_a_filing_never_wait_for_each_other_in_a_circle() -> None:
    """Both lock the patient before the result; the other way round PostgreSQL ends one of them now and then."""
    patient, user = make_patient(), make_user(role="lab_tech")
    services.file_report(make_inbound_message(), report_in(patient))
    for hour in range(2, 8):
        current = LabResult.objects.get(is_current=True)
        said = order_in(observation_in(value=str(hour), status="corrected"), reported_at=NOON + timedelta(hours=hour))
        url = f"/api/v1/lab-results/{current.pk}/correct/"
        answers = at_once(
            partial(services.file_report, make_inbound_message(), report_in(patient, said)),
            lambda url=url, hour=hour: client_for(user).post(url, {"result_value": f"{hour}.5"}, format="json"),
        )
        assert answers[0].status == "filed"
        assert answers[1].status_code in {200, 409}, answers[1].data
