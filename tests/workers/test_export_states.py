"""Proves what exports are when they were stopped, failed or lost their state: whole, and accounted for."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import accounting, manifest, services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import (
    DisclosedPatient,
    Disclosure,
    ExportChunk,
    ExportFile,
    ExportJob,
    ExportLevel,
    PatientGroup,
    PatientGroupMember,
)
from backend.apps.laboratory.models import LabResult
from backend.apps.laboratory.tests.factories import make_lab_result
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.stage import database_url
from tests.workers import exporting
from tests.workers.exporting import begun, carried_out, lines
from workers import fhir_export
from workers.fhir import anew, finishing, organizing, snapshots
from workers.fhir.hands import Hands

folder = exporting.folder
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung", "folder")]
PATIENTS = Asked(types=("Patient",))


def old_patients(count: int) -> list[Patient]:
    """Return patients who changed long before any state, in the order of their keys."""
    made = [make_patient() for _ in range(count)]
    Patient.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    return made


def half_written(job: ExportJob, *, but: int) -> None:
    """Plan an export and write all of its pieces but one; then its state is lost."""
    with Hands() as hands:
        hands.lead(job)
        ExportChunk.work.filter(job=job, number=but).update(due_at=timezone.now() + timedelta(hours=1))
        hands.work(time.monotonic() + 5)


def gone_on_with(job: ExportJob) -> ExportJob:
    ExportChunk.work.update(due_at=timezone.now())
    job.release()
    fhir_export.run_due()
    job.refresh_from_db()
    assert (job.status, job.rows_done) == ("completed", sum(job.chunks.values_list("rows", flat=True)))
    return job


def disclosed(job: ExportJob) -> set[Any]:
    return set(DisclosedPatient.objects.filter(disclosure__job=job).values_list("patient", flat=True))


def test_a_piece_that_is_taken_after_its_export_failed_is_written_when_that_is_tried_again(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 1
    patients = old_patients(2)
    job = begun(PATIENTS)
    with Hands() as hands:
        hands.lead(job)
        finishing.fail(job, "The disk was full.")
        ExportJob.objects.filter(pk=job.pk).update(status="failed")
        hands.work(time.monotonic() + 5)
    assert set(job.chunks.values_list("work_state", flat=True)) == {"failed"}
    services.retry(job)
    fhir_export.run_due()
    job.refresh_from_db()
    assert job.status == "completed"
    assert sorted(line["id"] for line in lines(job)) == sorted(str(one.pk) for one in patients)


def test_an_export_with_a_piece_that_was_ended_and_never_written_is_not_complete() -> None:
    old_patients(1)
    job = begun(PATIENTS)
    with Hands() as hands:
        hands.lead(job)
    ExportChunk.work.update(work_state=WorkState.DONE)
    job.release()
    fhir_export.run_due()
    job.refresh_from_db()
    assert (job.status, job.failure) == ("failed", "1 of 1 parts could not be written, of Patient.")
    services.retry(job)
    fhir_export.run_due()
    assert len(lines(job)) == 1


def test_whoever_dies_after_the_plan_or_between_pieces_is_followed_within_half_a_minute(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 1
    old_patients(3)
    job = begun(PATIENTS)
    within = ExportJob.work.filter(leased_until__lt=Now() + timedelta(seconds=30.5))
    with Hands() as hands:
        hands.lead(job)
        assert within.filter(leased_until__gt=Now() + timedelta(seconds=29)).exists()
        ExportJob.work.update(leased_until=Now() + timedelta(seconds=2))
        hands._look._looked_at = 0  # a second ago
        hands.work(time.monotonic() + 5)
    assert within.filter(leased_until__gt=Now() + timedelta(seconds=29)).exists()


def test_a_hand_that_finds_no_state_calls_for_a_leader(rung: list[str]) -> None:
    old_patients(1)
    job = begun(PATIENTS)
    with Hands() as hands:
        hands.lead(job)
    rung.clear()
    assert fhir_export.write_due() == "0 written"
    assert "fhir_export.run" in rung


def test_a_worker_whose_time_is_up_stays_until_another_holds_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    old_patients(1)
    job = begun(PATIENTS)
    monkeypatch.setattr(fhir_export, "BUDGET_S", -1)
    with Hands() as hands:
        hands.lead(job)
        other = snapshots.join(job)
        assert other is not None
        fhir_export._passed_on(job, hands, time.monotonic() + 5)
        assert hands.written == 0
        other.leave()
        hands.hand_over(time.monotonic() + 5)
        assert hands.written == 1
    job.refresh_from_db()
    assert job.work_state == "waiting"


def test_what_is_written_from_a_state_that_the_export_has_left_is_not_told_of(folder: Path) -> None:
    old_patients(1)
    job = begun(PATIENTS)
    with Hands() as hands:
        hands.lead(job)
        ExportJob.objects.update(snapshots_taken=2, snapshots=[])
        (chunk,) = ExportChunk.work.lease(1)
        assert hands.write(chunk) is None
    chunk.refresh_from_db()
    assert (chunk.work_state, chunk.times_written) == ("waiting", 0)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_snapshot_that_has_an_old_name_and_another_state_is_not_joined() -> None:
    job = begun(PATIENTS)
    first, _ = snapshots.take(job)
    snapshots.note(job, snapshots=[f"{first.snapshot.partition(' ')[0]} 1:2:"])
    assert snapshots.join(job) is None
    snapshots.note(job, snapshots=[first.snapshot])
    second = snapshots.join(job)
    assert second is not None
    first.leave()
    second.leave()


def test_after_a_lost_state_nothing_is_written_again_where_nothing_changed(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 1
    patients = old_patients(3)
    job = begun(PATIENTS)
    half_written(job, but=2)
    gone_on_with(job)
    assert set(job.chunks.filter(rows=1).values_list("times_written", flat=True)) == {1}
    assert Counter(line["id"] for line in lines(job)) == Counter(str(one.pk) for one in patients)


def test_after_a_lost_state_what_changed_went_or_came_is_as_in_the_new_one(settings: Any) -> None:
    """Also the Bundle of what was deleted: nobody stands in it and in the output."""
    settings.EXPORT_FILE_ROWS = 1
    since = timezone.now() - timedelta(days=1)
    changed, gone, kept = old_patients(3)
    job = begun(Asked(types=("Patient",), since=since))
    half_written(job, but=3)
    changed.city = "Troy"
    changed.save()
    gone.delete()
    came = make_patient()
    gone_on_with(job)
    cities = {line["id"]: line["address"][0]["city"] for line in lines(job)}
    assert len(lines(job)) == len(cities)
    assert cities == {str(changed.pk): "Troy", str(kept.pk): kept.city, str(came.pk): came.city}
    (bundle,) = lines(job, "deleted")
    assert [entry["request"]["url"] for entry in bundle["entry"]] == [f"Patient/{gone.pk}"]
    assert disclosed(job) == {changed.pk, gone.pk, kept.pk, came.pk}


def test_after_a_lost_state_each_patient_has_one_place_in_organized_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizing, "PATIENTS_AT_ONCE", 2)
    patients = old_patients(3)
    job = begun(Asked(types=("Patient", "Observation"), organize_by="Patient"))
    half_written(job, but=1)
    result = make_lab_result()
    gone_on_with(job)
    heads = Counter(
        line["parameter"][0]["valueReference"]["reference"]
        for line in lines(job)
        if line["resourceType"] == "Parameters"
    )
    expected = [*(one.pk for one in patients), result.lab_order.patient_id]
    assert heads == Counter(f"Patient/{key}" for key in expected)
    assert disclosed(job) == set(expected)


def test_organized_files_are_cut_over_the_patients_of_the_export_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizing, "PATIENTS_AT_ONCE", 2)
    patients = old_patients(6)
    wanted = (str(patients[1].pk), str(patients[3].pk), str(patients[5].pk))
    asked = Asked(types=("Patient",), organize_by="Patient", patients=wanted)
    job = carried_out(asked, level=ExportLevel.PATIENT)
    assert list(job.chunks.order_by("number").values_list("rows", flat=True)) == [2, 1]
    assert [line["id"] for line in lines(job) if line["resourceType"] == "Patient"] == list(wanted)


def test_what_a_page_of_the_manifest_told_stays_after_a_lost_state(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 1
    patients = old_patients(2)
    job = begun(Asked(types=("Patient",), allow_partial=True))
    half_written(job, but=2)
    page = manifest.manifest(job)
    assert page is not None
    Patient.objects.filter(pk=patients[0].pk).update(city="Troy", updated_at=timezone.now())
    gone_on_with(job)
    assert manifest.manifest(job) == page


@pytest.mark.parametrize("end", ["cancelled", "failed", "held"])
def test_parts_that_were_told_before_an_export_ended_are_accounted_for(settings: Any, end: str) -> None:
    settings.EXPORT_FILE_ROWS = 1
    first, _, _ = old_patients(3)
    job = begun(Asked(types=("Patient",), allow_partial=True))
    half_written(job, but=3)
    assert manifest.manifest(job) is not None
    if end == "cancelled":
        services.cancel(job)
    elif end == "failed":
        finishing.fail(job, "The disk was full.")
    else:  # by the sweep, when its worker had died for the last time
        job.hold("the worker died")
        assert (accounting.account_ended(), accounting.account_ended()) == (1, 0)
    assert disclosed(job) == {first.pk}
    assert Disclosure.objects.get().patients_count == 1


def test_an_export_of_which_nothing_was_told_is_no_disclosure() -> None:
    old_patients(1)
    job = begun(PATIENTS)
    half_written(job, but=0)
    services.cancel(job)
    assert (accounting.account_ended(), Disclosure.objects.count(), ExportFile.objects.count()) == (0, 0, 1)


def test_members_of_a_group_are_accounted_for_with_the_list_of_them() -> None:
    member, other = old_patients(2)
    group = PatientGroup.objects.create(name="Panel")
    PatientGroupMember.objects.create(group=group, patient=member)
    job = carried_out(Asked(types=("Group",)), level=ExportLevel.GROUP, group=group)
    assert disclosed(job) == {member.pk}
    Patient.objects.filter(pk=member.pk).update(merged_into=other, is_deleted=True, deleted_at=Now())
    accounting.account(job)
    assert disclosed(job) == {member.pk, other.pk}
    cut = carried_out(Asked(types=("Observation",), elements=("status",)))
    assert disclosed(cut) == set()
    result = make_lab_result()
    cut = carried_out(Asked(types=("Observation",), elements=("status",)))
    assert disclosed(cut) == {result.lab_order.patient_id}
    AuditLog.objects.create(action="retrieve", resource_type="patient", patient_id=other.pk)
    cut = carried_out(Asked(types=("AuditEvent",), elements=("outcome",)))
    assert disclosed(cut) == {other.pk}


def test_after_a_lost_state_pieces_are_looked_at_without_all_their_patients(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 1
    old_patients(3)
    job = begun(PATIENTS)
    half_written(job, but=3)
    with CaptureQueriesContext(connection) as asked, Hands() as hands:
        hands.lead(job)
    selects = [told["sql"] for told in asked if told["sql"].startswith("SELECT") and "exportchunk" in told["sql"]]
    assert len(selects) > 3
    assert [sql for sql in selects if '"patients"' in sql] == []


def test_what_there_was_no_time_to_look_at_after_a_lost_state_is_written_again(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXPORT_FILE_ROWS = 1
    patients = old_patients(3)
    job = begun(PATIENTS)
    half_written(job, but=2)
    monkeypatch.setattr(anew, "LOOKING_S", -1)
    gone_on_with(job)
    assert list(job.chunks.order_by("number").values_list("times_written", flat=True)[:3]) == [2, 1, 2]
    assert Counter(line["id"] for line in lines(job)) == Counter(str(one.pk) for one in patients)


def free_once_waited_for(holder: psycopg.Connection[Any], after_s: float) -> None:
    """Let go of the table of patients when somebody has waited for it for that long."""
    waiting = """SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'patients_patient'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    give_up_at = time.monotonic() + 10
    while not holder.execute(waiting).fetchone() and time.monotonic() < give_up_at:
        time.sleep(0.01)
    time.sleep(after_s)
    holder.commit()


def test_the_time_that_a_plan_takes_is_part_of_the_time_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    old_patients(1)
    monkeypatch.setattr(fhir_export, "BUDGET_S", 0.1)
    monkeypatch.setattr(fhir_export, "HAND_OVER_S", 0)
    job = services.begin(PATIENTS)
    with psycopg.connect(database_url()) as other:
        other.execute("LOCK TABLE patients_patient")
        freeing = Thread(target=free_once_waited_for, args=[other, fhir_export.BUDGET_S])
        freeing.start()
        fhir_export.run_due()
        freeing.join()
    job.refresh_from_db()
    assert (job.planned_at is None, job.status, job.work_state) == (False, "in_progress", "waiting")
    assert set(job.chunks.values_list("work_state", flat=True)) == {"waiting"}


def test_what_a_killed_holder_of_the_state_left_is_forgotten_and_nobody_relies_on_it() -> None:
    job = begun(PATIENTS)
    first, _ = snapshots.take(job)
    snapshots.note(job, snapshots=[first.snapshot], snapshots_taken=first.state)
    killed = snapshots.join(job)
    assert killed is not None
    assert first.is_held_by_others()
    killed.connection.close()
    assert not first.is_held_by_others()
    assert ExportJob.objects.get().snapshots == [first.snapshot]
    ExportJob.objects.update(snapshots=[first.snapshot, killed.snapshot])
    third = snapshots.join(job)
    assert third is not None
    assert ExportJob.objects.get().snapshots == [first.snapshot, third.snapshot]
    for reading in (first, third):
        reading.leave()


def test_after_a_lost_state_who_took_the_place_of_a_member_has_it_in_the_files() -> None:
    results = [make_lab_result() for _ in range(3)]
    LabResult.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    left, came, stayed = old = [result.lab_order.patient for result in results]
    Patient.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    group = PatientGroup.objects.create(name="Panel")
    for member in (left, stayed):
        PatientGroupMember.objects.create(group=group, patient=member)
    job = begun(Asked(types=("Patient", "ServiceRequest", "Observation")), level=ExportLevel.GROUP, group=group)
    half_written(job, but=2)
    PatientGroupMember.objects.filter(patient=left).update(patient=came)
    gone_on_with(job)
    told = Counter(line["id"] for line in lines(job) if line["resourceType"] == "Patient")
    assert told == Counter(str(one.pk) for one in old[1:])
    told = Counter(line["id"] for line in lines(job) if line["resourceType"] == "Observation")
    assert told == Counter(result.result_key for result in results[1:])
    assert disclosed(job) == {came.pk, stayed.pk}


def test_after_a_lost_state_what_the_log_says_of_who_took_the_place_of_a_member_is_in_the_files() -> None:
    left, came, stayed = old_patients(3)
    group = PatientGroup.objects.create(name="Panel")
    for member in (left, stayed):
        PatientGroupMember.objects.create(group=group, patient=member)
    of_one = {"action": "retrieve", "resource_type": "patient", "timestamp": timezone.now() - timedelta(hours=1)}
    for patient in (left, came, stayed):
        AuditLog.objects.create(resource_id=str(patient.pk), patient_id=patient.pk, **of_one)
    job = begun(Asked(types=("AuditEvent", "Patient")), level=ExportLevel.GROUP, group=group)
    half_written(job, but=1)
    PatientGroupMember.objects.filter(patient=left).update(patient=came)
    gone_on_with(job)
    told = [json.dumps(line) for line in lines(job) if line["resourceType"] == "AuditEvent"]
    assert [sum(str(one.pk) in line for line in told) for one in (left, came, stayed)] == [0, 1, 1]
