"""Holds whose chart a report goes to: never a guess, and a person's decision before everything."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import matching, services
from backend.apps.laboratory.models import (
    CriticalResult,
    DroppedFinding,
    FillerNumber,
    LabOrder,
    LabResult,
    LabSpecimen,
)
from backend.apps.laboratory.reports import SpecimenIn
from backend.apps.laboratory.tests.factories import (
    NOON,
    filed,
    make_inbound_message,
    make_lab_feed,
    make_lab_order,
    make_lab_test,
    observation_in,
    order_in,
    patient_in,
    report_in,
)
from backend.apps.laboratory.tests.test_permutations import chart
from backend.apps.patients.services import merge
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("on_file", "sent", "fits"),
    [
        ("MRN77", "mrn77", True),
        ("MRN77", " MRN 77 ", True),
        ("0077", "77", True),
        ("77", "0000077", True),
        ("77", "770", False),
        ("0", "00", False),
    ],
)
def test_a_record_number_may_differ_in_case_blanks_and_leading_zeros(on_file: str, sent: str, fits: bool) -> None:
    patient = make_patient(medical_record_number=on_file)
    outcome = filed(report_in(patient, patient=patient_in(patient, identifiers=((sent, ""),))))
    assert outcome.status == ("filed" if fits else "worklist")


def test_leading_zeros_that_could_be_two_patients_are_nobodys() -> None:
    one = make_patient(medical_record_number="077")
    make_patient(medical_record_number="0077", first_name="Bea")
    assert filed(report_in(one, patient=patient_in(one, identifiers=(("77", ""),)))).status == "worklist"
    assert filed(report_in(one, patient=patient_in(one, identifiers=(("077", ""),)))).patient_id == one.pk


@pytest.mark.parametrize(
    ("policy", "sent", "status"),
    [
        ("number", [("{ours}", "CLINIC"), ("{other}", "LAB")], "filed"),
        ("number", [("{ours}", "")], "filed"),
        ("number", [("{ours}", "LAB")], "worklist"),
        ("authority", [("{ours}", "clinic")], "filed"),
        ("authority", [("{ours}", "")], "worklist"),
        ("worklist", [("{ours}", "CLINIC")], "worklist"),
    ],
)
def test_only_numbers_of_our_authority_count_where_the_feed_names_it(policy: str, sent: Any, status: str) -> None:
    patient, other = make_patient(), make_patient(first_name="Bea")
    names = {"ours": patient.medical_record_number, "other": other.medical_record_number}
    ids = tuple((number.format(**names), authority) for number, authority in sent)
    feed = make_lab_feed(assigning_authority="CLINIC", match_policy=policy)
    assert filed(report_in(patient, patient=patient_in(patient, identifiers=ids)), feed=feed).status == status


def test_what_a_person_decided_counts_before_every_identifier() -> None:
    patient, stranger = make_patient(), make_patient(first_name="Bea", last_name="Someone")
    feed = make_lab_feed(match_policy="worklist")
    outcome = filed(report_in(patient, patient=patient_in(stranger)), feed=feed, assigned_patient=patient)
    assert (outcome.status, outcome.patient_id) == ("filed", patient.pk)


def test_a_decision_about_a_message_of_several_patients_decides_nothing() -> None:
    one, two, chosen = (make_patient(first_name=name) for name in ("Ada", "Bea", "Cid"))
    message = make_inbound_message(assigned_patient=chosen)
    ((first, second),) = services.file_reports([(message, [report_in(one), report_in(two)])])
    assert (first.patient_id, second.patient_id) == (one.pk, two.pk)


def test_a_merged_patient_leads_to_the_record_that_stays_and_replays_file_nothing_twice() -> None:
    old, new = make_patient(), make_patient(last_name="Married")
    report = report_in(old)
    filed(report)
    merge(old, by=None, into=new)
    outcome = filed(report)
    assert (outcome.status, outcome.patient_id) == ("duplicate", new.pk)
    corrected = order_in(observation_in(status="corrected", value="6"))
    assert filed(report_in(new, corrected)).status == "filed"
    assert list(LabResult.objects.order_by("version").values_list("version", "result_value")) == [(1, "4.1"), (2, "6")]
    assert LabOrder.objects.get().patient == new


def test_a_birth_date_that_cannot_be_read_fits_only_with_both_names() -> None:
    patient = make_patient()
    for family, given, status in (
        (patient.last_name, patient.first_name, "filed"),
        (patient.last_name, "Other", "worklist"),
        ("", "", "worklist"),
    ):
        who = patient_in(patient, birth_date=None, family_name=family, given_name=given)
        assert filed(report_in(patient, patient=who)).status == status


def test_the_same_patient_twice_in_a_message_is_one_report() -> None:
    patient = make_patient()
    twice = [report_in(patient, order_in(observation_in(value=value))) for value in ("4.1", "4.4")]
    services.file_reports([(make_inbound_message(), twice)])
    values = LabResult.objects.filter(is_current=True).values_list("result_value", flat=True)
    assert sorted(values) == ["4.1", "4.4"]  # two observations, as they would be in one group


def test_suggestions_name_who_may_be_meant_and_why_and_file_nothing() -> None:
    patient = make_patient(date_of_birth=date(1980, 5, 17))
    make_patient(first_name="Zoe", last_name="Zimmer", date_of_birth=date(1999, 1, 1))
    who = patient_in(patient, identifiers=(("NOBODY", ""),))
    ((found, why),) = matching.suggestions(who)
    assert found == patient
    assert why.startswith("Family name, given name")
    assert filed(report_in(patient, patient=who)).status == "worklist"
    assert matching.suggestions(patient_in(patient, identifiers=(), family_name="", given_name="")) == []


def test_two_records_of_one_person_that_know_the_same_panel_are_merged_into_one_order() -> None:
    old, new = make_patient(), make_patient(last_name="Married")
    panel = order_in(observation_in(), specimens=(SpecimenIn(specimen_id="S1", code="SER"),))
    for patient in (old, new):
        filed(report_in(patient, panel))
    merge(old, by=None, into=new)
    order = LabOrder.objects.get()
    assert (order.patient, order.reported_panels.count(), order.specimens.count()) == (new, 1, 1)
    assert [row.number for row in order.filler_numbers.all()] == ["F1"]
    assert set(LabResult.objects.values_list("lab_order", flat=True)) == {order.pk}
    assert filed(report_in(old, panel)).status == "duplicate"


def test_an_observation_on_file_under_both_records_has_one_history_after_their_merge() -> None:
    old, new = make_patient(), make_patient(last_name="Married")
    sodium = observation_in(code="2951-2")

    def reported(hour: int, **said: Any) -> Any:
        return order_in(observation_in(**said), sodium, filler="F1", reported_at=NOON + timedelta(hours=hour))

    filed(report_in(old, reported(1, status="preliminary", value="4.0")))
    for patient in (old, new):
        filed(report_in(patient, reported(2)))
    filed(report_in(new, reported(3, status="corrected", value="5.9")))
    filed(report_in(old, reported(4, status="corrected", value="6.1")))
    keys = set(LabResult.objects.values_list("result_key", flat=True))
    merge(old, by=None, into=new)
    kept = set(LabResult.objects.values_list("result_key", flat=True))
    dropped = dict(DroppedFinding.objects.values_list("result_key", "patient"))
    assert dropped == dict.fromkeys(keys - kept, new.pk)
    assert len(keys - kept) == 2
    history = LabResult.objects.filter(code_as_sent="2823-3").order_by("version")
    assert list(history.values_list("version", "result_value", "is_current")) == [
        (1, "4.0", False), (2, "4.1", False), (3, "4.1", False), (4, "5.9", False), (5, "6.1", True)
    ]  # fmt: skip
    assert [row.supersedes_id for row in history] == [None, *(row.pk for row in history)][:5]
    assert LabResult.objects.filter(code_as_sent="2951-2", is_current=True).count() == 1
    for patient in (old, new):
        assert filed(report_in(patient, reported(4, status="corrected", value="6.1"))).status == "duplicate"
    later = reported(5, status="corrected", value="6.3")
    assert filed(report_in(old, later)).status == "filed"
    assert LabResult.objects.get(code_as_sent="2823-3", is_current=True).version == 6


@pytest.mark.parametrize("gone", [0, 1])
@pytest.mark.parametrize("split", range(8))
def test_records_that_are_merged_end_in_the_chart_of_one_record(split: int, gone: int) -> None:
    """Whatever of the same messages was filed under which of the two."""
    doctor, code = make_doctor(), make_lab_test(test_code="24323-8")
    people = [make_patient(first_name=name) for name in ("Ada", "Bea")]
    wanted = make_lab_order(patient=people[0], status="ordered", doctor=doctor, tests=[code])
    early, late = (NOON + timedelta(hours=hour) for hour in (-3, 2))
    theirs = [
        order_in(observation_in(code="2951-2"), placer="X9", priority="stat", observed_at=early, reported_at=early),
        order_in(observation_in(status="corrected", value="5.9"), reported_at=late),
        order_in(observation_in(), filler="F2", placer="X9", priority="urgent", reported_at=late),
    ]
    feed = [(people[0], order_in(observation_in(), placer=wanted.order_number))]
    feed += [(people[split >> place & 1], order) for place, order in enumerate(theirs)]
    charts = []
    for together in (True, False):
        with transaction.atomic():
            for patient, order in feed:
                filed(report_in(people[0] if together else patient, order, sent_at=order.reported_at))
            merge(people[gone], by=None, into=people[1 - gone])
            charts.append(chart(people[1 - gone]))
            transaction.set_rollback(True)
    assert charts[0] == charts[1]


@pytest.mark.parametrize("gone", [0, 1])
def test_what_a_merge_brings_into_our_order_asks_its_doctor_for_another_look(gone: int) -> None:
    people = [make_patient(), make_patient(first_name="Bea")]
    order = make_lab_order(patient=people[0], status="ordered", tests=[])
    filed(report_in(people[0], order_in(observation_in(), placer=order.order_number)))
    order.refresh_from_db()
    order.review(order.doctor.user)
    filed(report_in(people[1], order_in(observation_in(code="2951-2", status="preliminary"))))
    merge(people[gone], by=None, into=people[1 - gone])
    order.refresh_from_db()
    assert (order.results.count(), order.status, order.reviewed_at) == (2, "in_progress", None)
    assert list(LabOrder.objects.all()) == [order]


def test_a_number_the_laboratory_answered_to_our_order_leads_there_after_a_merge() -> None:
    old, new = make_patient(), make_patient(first_name="Bea")
    order = make_lab_order(patient=old, status="ordered")
    sender = make_inbound_message().sender
    FillerNumber.objects.create(lab_order=order, patient=old, sender=sender, number="F1")
    filed(report_in(new))
    merge(old, by=None, into=new)
    assert (LabResult.objects.get().lab_order, FillerNumber.objects.get().lab_order) == (order, order)


@pytest.mark.parametrize("gone", [0, 1])
def test_the_newest_word_about_a_specimen_holds_after_a_merge(gone: int) -> None:
    people = [make_patient(), make_patient(first_name="Bea")]
    for hour, patient in enumerate(people):
        specimen = SpecimenIn(specimen_id="S1", code="SER", condition=f"said at {hour}")
        at = NOON + timedelta(hours=hour)
        filed(report_in(patient, order_in(observation_in(), specimens=(specimen,)), sent_at=at))
    merge(people[gone], by=None, into=people[1 - gone])
    assert LabSpecimen.objects.get().condition == "said at 1"
    assert LabSpecimen.all_objects.get(is_deleted=True).condition == "said at 0"


def test_a_merge_costs_the_same_for_one_panel_and_for_many() -> None:
    costs = []
    for count in (1, 6):
        old, new = make_patient(), make_patient(first_name="Bea")
        filed(report_in(old, *[order_in(observation_in(), filler=f"F{place}") for place in range(count)]))
        filed(report_in(new, order_in(observation_in(), filler="G")))
        with CaptureQueriesContext(connection) as queries:
            merge(old, by=None, into=new)
        costs.append(len(queries))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("gone", [0, 1])
@pytest.mark.parametrize(("later", "standing"), [("6.9", ["6.9"]), ("4.1", [])])
def test_of_what_two_records_were_paged_for_the_current_version_is_left(
    gone: int, later: str, standing: list[str]
) -> None:
    people = [make_patient(), make_patient(first_name="Bea")]
    for patient, value in zip(people, ("7.2", later), strict=True):
        flag = "normal" if value == "4.1" else "critical_high"
        said = observation_in(value=value, numeric=Decimal(value), flag=flag)
        filed(report_in(patient, order_in(said, reported_at=NOON + timedelta(hours=1 if value == "7.2" else 2))))
    assert CriticalResult.objects.filter(status="open").count() == 1 + len(standing)
    merge(people[gone], by=None, into=people[1 - gone])
    assert [row.result.result_value for row in CriticalResult.objects.filter(status="open")] == standing
    assert CriticalResult.objects.get(result__result_value="7.2").status == "closed"
    assert all(row.result.is_current for row in CriticalResult.objects.filter(status="open"))


def test_two_observations_of_one_name_are_joined_with_their_own_twins() -> None:
    old, new = make_patient(), make_patient(last_name="Married")
    twice = order_in(observation_in(value="1"), observation_in(value="2"), filler="F1")
    for patient in (old, new):
        filed(report_in(patient, twice))
    merge(old, by=None, into=new)
    current = LabResult.objects.filter(is_current=True).values_list("result_value", "version")
    assert sorted(current) == [("1", 2), ("2", 2)]


def test_an_observation_is_named_anew_only_where_records_are_joined() -> None:
    filed(report_in(make_patient()))
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        LabResult.objects.update(result_key="0" * 64)
