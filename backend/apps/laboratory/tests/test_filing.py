"""Holds that a report lands in the right chart or on the worklist, and that nothing it says is lost."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.laboratory import services
from backend.apps.laboratory.models import LabOrder, LabResult
from backend.apps.laboratory.tests.factories import (
    NOON,
    filed,
    make_inbound_message,
    make_lab_order,
    make_lab_test,
    observation_in,
    order_in,
    patient_in,
    report_in,
)
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def current(order: LabOrder) -> dict[str, LabResult]:
    return {row.code_as_sent: row for row in order.results.filter(is_current=True)}


def test_a_result_of_our_order_is_filed_in_it() -> None:
    test = make_lab_test(test_code="2823-3")
    order = make_lab_order(status="ordered", tests=[test])
    message = make_inbound_message()
    report = report_in(order.patient, order_in(observation_in(notes="Slightly haemolysed."), placer=order.order_number))
    outcome = services.file_report(message, report)
    assert (outcome.status, outcome.patient_id, outcome.filed) == ("filed", order.patient_id, 1)
    (result,) = order.results.all()
    assert (result.lab_test, result.result_value, result.numeric_value) == (test, "4.1", Decimal("4.1"))
    assert (result.unit, result.reference_range, result.abnormal_flag) == ("mmol/L", "3.5-5.1", "normal")
    assert (result.result_date, result.interpretation) == (NOON, "Slightly haemolysed.")
    assert (result.source_message, result.observation_index) == (message, 1)
    assert (result.verified_at, result.released_at) == (None, None)
    order.refresh_from_db()
    assert (order.status, order.completed_at) == ("completed", NOON + timedelta(hours=1))
    assert [row.number for row in order.filler_numbers.all()] == ["F1"]


def test_an_unasked_result_makes_an_external_order() -> None:
    panel = make_lab_test(test_code="24323-8")
    patient = make_patient()
    assert filed(report_in(patient, order_in(observation_in(), placer="X9", priority="stat"))).status == "filed"
    order = LabOrder.objects.get(patient=patient)
    assert (order.is_external, order.doctor, order.placer_order_number, order.priority) == (True, None, "X9", "stat")
    assert list(order.tests.all()) == [panel]
    assert (order.order_date, order.specimen_collected_at) == (NOON, NOON)


def test_an_unknown_code_is_kept_as_it_was_sent() -> None:
    patient = make_patient()
    filed(report_in(patient, order_in(observation_in(code="ZZ9", text="House test", system="L"))))
    result = LabResult.objects.get()
    assert (result.lab_test, result.code_as_sent, result.code_text_as_sent) == (None, "ZZ9", "House test")
    assert result.code_system_as_sent == "L"


def test_a_code_of_another_system_is_not_taken_for_ours() -> None:
    make_lab_test(test_code="2823-3", code_system="loinc")
    filed(report_in(make_patient(), order_in(observation_in(system="L"))))
    assert LabResult.objects.get().lab_test is None


def test_a_correction_is_another_version_and_the_first_stays() -> None:
    patient = make_patient()
    filed(report_in(patient))
    corrected = order_in(observation_in(status="corrected", value="5.9"), reported_at=NOON + timedelta(hours=2))
    filed(report_in(patient, corrected))
    first, second = LabResult.objects.order_by("version")
    assert (first.result_value, first.is_current, second.result_value, second.is_current) == ("4.1", False, "5.9", True)
    assert second.supersedes == first


def test_filing_again_after_a_crash_files_nothing_twice() -> None:
    patient, message = make_patient(), make_inbound_message()
    outcomes = [services.file_report(message, report_in(patient)) for _ in range(3)]
    assert [outcome.status for outcome in outcomes] == ["filed"] * 3
    assert LabResult.objects.count() == 1


def test_the_same_content_under_another_id_is_a_duplicate() -> None:
    patient = make_patient()
    filed(report_in(patient))
    assert filed(report_in(patient)).status == "duplicate"
    assert LabResult.objects.count() == 1
    assert LabOrder.objects.count() == 1


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ({"identifiers": ()}, "no record number"),
        ({"identifiers": (("NOBODY", "X"),)}, "No patient has this record number"),
        ({"birth_date": date(1980, 5, 18)}, "date of birth does not fit"),
        ({"birth_date": None, "family_name": "Someone"}, "no date of birth"),
        ({"family_name": "Someone", "given_name": "Else"}, "name does not fit"),
    ],
)
def test_who_does_not_fit_goes_to_the_worklist(who: dict[str, Any], reason: str) -> None:
    patient = make_patient()
    outcome = filed(report_in(patient, patient=patient_in(patient, **who)))
    assert (outcome.status, outcome.patient_id) == ("worklist", None)
    assert reason in outcome.reason
    assert not any(text in outcome.reason for text in ("Okafor", "Someone", "1980", patient.medical_record_number))
    assert (LabResult.objects.count(), LabOrder.objects.count(), Patient.all_objects.count()) == (0, 0, 1)


@pytest.mark.parametrize(
    "who", [{"family_name": "Marriedname"}, {"birth_date": None}, {"family_name": "", "given_name": ""}]
)
def test_a_new_surname_or_a_missing_birth_date_alone_still_fits(who: dict[str, Any]) -> None:
    patient = make_patient()
    assert filed(report_in(patient, patient=patient_in(patient, **who))).status == "filed"


def test_record_numbers_of_two_patients_go_to_the_worklist() -> None:
    one, two = make_patient(), make_patient(first_name="Bea")
    ids = ((one.medical_record_number, "A"), (two.medical_record_number, "B"))
    assert "different patients" in filed(report_in(one, patient=patient_in(one, identifiers=ids))).reason


def test_a_removed_patient_goes_to_the_worklist() -> None:
    patient = make_patient()
    patient.delete()
    assert "has been removed" in filed(report_in(patient)).reason


def test_our_order_number_of_another_patient_goes_to_the_worklist() -> None:
    other = make_lab_order(status="ordered")
    report = report_in(make_patient(first_name="Bea"), order_in(observation_in(), placer=other.order_number))
    assert "another patient's order" in filed(report).reason
    assert LabResult.objects.count() == 0


def test_a_message_without_results_goes_to_the_worklist() -> None:
    patient = make_patient()
    assert filed(report_in(patient).__class__(patient=patient_in(patient))).status == "worklist"


def test_lines_of_a_text_are_one_result_and_a_shorter_text_leaves_no_line_behind() -> None:
    patient = make_patient()

    def text(status: str, hour: int, *lines: str) -> Any:
        rows = [
            observation_in(code="18748-4", value_type="TX", value=line, numeric=None, status=status, index=number)
            for number, line in enumerate(lines, 1)
        ]
        return report_in(patient, order_in(*rows, reported_at=NOON + timedelta(hours=hour)))

    filed(text("preliminary", 1, "Chest:", "clear", "to be confirmed"))
    filed(text("final", 2, "Chest:", "clear"))
    assert [row.result_value for row in LabResult.objects.filter(is_current=True)] == ["Chest:\nclear"]


def test_a_code_repeated_in_one_panel_is_another_observation() -> None:
    panel = order_in(observation_in(value="4.1", index=1), observation_in(value="4.4", index=2))
    filed(report_in(make_patient(), panel))
    assert sorted(LabResult.objects.filter(is_current=True).values_list("result_value", flat=True)) == ["4.1", "4.4"]


@pytest.mark.parametrize(
    ("numeric", "stored"),
    [
        (Decimal("1E+400"), None),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (Decimal("-0.00000000009"), Decimal("-0.0000000001")),
        (Decimal(10**17), Decimal(10**17)),
        (None, None),
    ],
)
def test_numbers_the_database_cannot_hold_stay_text(numeric: Any, stored: Any) -> None:
    filed(report_in(make_patient(), order_in(observation_in(numeric=numeric, value="as sent"))))
    result = LabResult.objects.get()
    assert (result.result_value, result.numeric_value) == ("as sent", stored)


def test_nul_characters_and_endless_codes_do_not_stop_a_result() -> None:
    long = order_in(observation_in(code="C" * 900, sub_id="s" * 900, value="a\x00b", unit="u" * 900), filler="F" * 900)
    assert filed(report_in(make_patient(), long)).status == "filed"
    assert LabResult.objects.get().result_value == "ab"


def test_two_laboratories_with_the_same_number_do_not_hide_each_other() -> None:
    patient = make_patient()
    filed(report_in(patient), sending_facility="NORTH")
    filed(report_in(patient, order_in(observation_in(value="9"))), sending_facility="SOUTH")
    assert LabResult.objects.filter(is_current=True).count() == 2
    assert LabOrder.objects.count() == 2


def test_an_order_completes_when_every_ordered_test_is_answered() -> None:
    tests = [make_lab_test(test_code=code) for code in ("2823-3", "2951-2")]
    order = make_lab_order(status="ordered", tests=tests)
    for code, status in (("2823-3", "in_progress"), ("2951-2", "completed")):
        filed(report_in(order.patient, order_in(observation_in(code=code), placer=order.order_number, filler=code)))
        order.refresh_from_db()
        assert order.status == status


def test_a_laboratory_cancels_an_order_and_a_later_result_revives_it() -> None:
    order = make_lab_order(status="ordered", tests=[])
    ours = {"placer": order.order_number}
    filed(report_in(order.patient, order_in(status="cancelled", **ours)))
    order.refresh_from_db()
    assert (order.status, current(order)["24323-8"].status) == ("cancelled", "cancelled")
    filed(report_in(order.patient, order_in(observation_in(), **ours)))
    order.refresh_from_db()
    assert (order.status, order.cancelled_at) == ("completed", None)


def test_an_order_a_person_cancelled_stays_cancelled_but_its_result_is_filed() -> None:
    order = make_lab_order(status="ordered")
    services.cancel(order, by=make_user(role="doctor"), reason="Not needed.")
    assert filed(report_in(order.patient, order_in(observation_in(), placer=order.order_number))).status == "filed"
    order.refresh_from_db()
    assert (order.status, order.results.count()) == ("cancelled", 1)


def test_a_notice_without_results_moves_the_order_on() -> None:
    order = make_lab_order(status="ordered")
    outcome = filed(report_in(order.patient, order_in(placer=order.order_number, status="pending")))
    order.refresh_from_db()
    assert (outcome.status, order.status, order.results.count()) == ("filed", "in_progress", 0)


def test_something_new_asks_for_another_review_and_a_replay_does_not() -> None:
    order = make_lab_order(status="ordered", tests=[])
    first = order_in(observation_in(), placer=order.order_number)
    filed(report_in(order.patient, first))
    order.refresh_from_db()
    order.review(make_user(role="doctor"))
    filed(report_in(order.patient, first))
    order.refresh_from_db()
    assert order.reviewed_at is not None
    filed(report_in(order.patient, order_in(observation_in(status="corrected", value="6"), placer=order.order_number)))
    order.refresh_from_db()
    assert order.reviewed_at is None


def test_a_report_of_thirty_observations_costs_as_many_queries_as_one_of_three() -> None:
    counts = []
    for size in (3, 30):
        order, message = make_lab_order(status="ordered"), make_inbound_message()
        rows = [observation_in(code=f"{number}-1", index=number) for number in range(1, size + 1)]
        report = report_in(order.patient, order_in(*rows, placer=order.order_number))
        with CaptureQueriesContext(connection) as queries:
            services.file_report(message, report)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 22
