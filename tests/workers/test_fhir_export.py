"""Holds bulk exports: what is in the files, which state of the database they show, and how they end."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core import audit, closed_values
from backend.apps.core.models import Alert
from backend.apps.core.work import LEASE
from backend.apps.insurance.tests.factories import make_patient_insurance
from backend.apps.interop.fhir.exports import accounting, services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import (
    Disclosure,
    ExportChunk,
    ExportFile,
    ExportLevel,
    PatientGroup,
    PatientGroupMember,
)
from backend.apps.laboratory.models import LabResult
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_result, make_lab_test
from backend.apps.patients import merging
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from integrations.errors import Misconfigured
from integrations.fhir.checking import faults
from integrations.fhir.holes import Safe
from integrations.fhir.resource import Resource, head
from tests.support.s3_double import S3Double
from tests.support.stage import database_url
from tests.workers import exporting
from tests.workers.exporting import begun, carried_out, lines
from workers import fhir_export
from workers.fhir import files, snapshots, writing
from workers.fhir.files import SUFFIX, Ndjson
from workers.fhir.hands import Hands

folder = exporting.folder
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung", "folder")]


def leased_twice() -> tuple[ExportChunk, ExportChunk]:
    """Return a piece as a slow worker holds it and as its successor does."""
    (slow,) = ExportChunk.work.lease(1)
    ExportChunk.work.update(leased_until=timezone.now() - LEASE)
    (quick,) = ExportChunk.work.lease(1)
    return slow, quick


def files_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_files_hold_each_resource_once_cut_by_count(settings: Any) -> None:
    settings.EXPORT_FILE_ROWS = 2
    patients = {str(make_patient(medical_record_number=f"M{place}").pk) for place in range(5)}
    job = carried_out(Asked(types=("Patient",)))
    assert (job.status, job.work_state, job.rows_total, job.rows_done) == ("completed", "done", 5, 5)
    assert Counter(line["id"] for line in lines(job)) == Counter(patients)
    assert [file.count for file in ExportFile.objects.filter(job=job)] == [2, 2, 1]


def test_each_type_that_has_rows_has_files_and_the_accounting_names_each_patient_once() -> None:
    order = make_lab_order(status="completed")
    for _ in range(2):
        make_lab_result(lab_order=order, lab_test=make_lab_test())
    assert carried_out(Asked(types=("Observation",))).disclosure.patients_count == 1
    job = carried_out(Asked())
    assert {"Patient", "Observation"} <= {line["resourceType"] for line in lines(job)}
    assert lines(job, "error") == []
    told = Disclosure.objects.get(job=job)
    assert told.recipient == accounting.COMMAND_LINE
    assert told.patients_count == Patient.objects.count()
    assert set(told.patients.values_list("patient", flat=True)) == set(Patient.objects.values_list("pk", flat=True))


def test_all_files_show_one_state_and_what_commits_late_is_found_by_the_next_export() -> None:
    """A change that began before the state was taken and commits after it is younger than the export's moment."""
    patient = make_patient()
    with psycopg.connect(database_url()) as late:
        late.execute("UPDATE patients_patient SET updated_at = now(), city = 'Troy'")  # not committed yet
        first = carried_out(Asked(types=("Patient",)))
        late.commit()
    assert [line["address"][0]["city"] for line in lines(first)] == ["Albany"]
    second = carried_out(Asked(types=("Patient",), since=first.transaction_time))
    assert [(line["id"], line["address"][0]["city"]) for line in lines(second)] == [(str(patient.pk), "Troy")]


def test_a_process_that_comes_later_sees_the_state_of_the_first_also_when_that_has_gone() -> None:
    make_patient()
    job = begun(Asked())
    first, _ = snapshots.take(job)
    snapshots.note(job, snapshots=[first.snapshot])
    Patient.objects.update(city="Troy")
    second = snapshots.join(job)
    assert second is not None
    first.leave()
    third = snapshots.join(job)
    assert third is not None
    assert third.connection.execute("SELECT city FROM patients_patient").fetchone() == ("Albany",)
    for reading in (second, third):
        reading.leave()
    assert snapshots.join(job) is None


def test_an_export_whose_state_is_lost_goes_on_with_another_and_misses_no_row_that_moved(settings: Any) -> None:
    """The last piece was written; then a result was corrected, whose first version stood in a piece that was not."""
    settings.EXPORT_FILE_ROWS = 1
    order = make_lab_order()
    results = [make_lab_result(lab_order=order, lab_test=make_lab_test()) for _ in range(3)]
    job = begun(Asked(types=("Observation",)))
    with Hands() as hands:
        hands.lead(job)
        ExportChunk.work.filter(number__lt=3).update(due_at=timezone.now() + timedelta(hours=1))
        hands.work(time.monotonic() + 5)
    LabResult.objects.filter(pk=results[0].pk).update(is_current=False)
    corrected = {"result_key": results[0].result_key, "version": 2, "result_value": "4.2"}
    make_lab_result(lab_order=order, lab_test=results[0].lab_test, **corrected)
    ExportChunk.work.update(due_at=timezone.now())
    job.release()
    fhir_export.run_due()
    job.refresh_from_db()
    assert (job.status, job.snapshots_taken) == ("completed", 2)
    assert Counter(line["id"] for line in lines(job)) == Counter(result.result_key for result in results)


def test_a_worker_that_lost_its_lease_leaves_no_file_and_overwrites_none(folder: Path) -> None:
    make_patient()
    job = begun(Asked(types=("Patient",)))
    with Hands() as hands:
        hands.lead(job)
        slow, quick = leased_twice()
        assert hands.write(quick) is None
        assert hands.write(slow) == {}
    file = ExportFile.objects.get()
    assert files_in(folder) == [file.path]
    assert len(lines(job)) == 1


def test_what_a_killed_worker_left_behind_is_removed(folder: Path) -> None:
    make_patient()
    job = begun(Asked(types=("Patient",)))
    with Hands() as hands:
        hands.lead(job)
        chunk, again = leased_twice()
        half = Ndjson(f"{job.pk}/{chunk.pk}-{chunk.lease_no}-output-0{SUFFIX}")
        half.write(b"{}\n", 1)
        assert len(files_in(folder)) == 1
        hands.write(again)
    assert files_in(folder) == [ExportFile.objects.get().path]


def test_a_stopped_export_is_not_gone_on_with(folder: Path) -> None:
    make_patient()
    job = begun(Asked(types=("Patient",)))
    with Hands() as hands:
        hands.lead(job)
        services.cancel(job)
        hands.work(time.monotonic() + 5)
    assert (ExportFile.objects.count(), files_in(folder)) == (0, [])
    fhir_export.run_due()
    job.refresh_from_db()
    assert (job.status, Disclosure.objects.count()) == ("cancelled", 0)


def test_a_row_that_is_judged_wrong_is_left_out_and_told_of_without_its_values(settings: Any) -> None:
    settings.EXPORT_SAMPLE = 1
    good, bad = make_patient(), make_patient()
    with connection.cursor() as cursor:  # a year no FHIR instant can have
        cursor.execute("UPDATE patients_patient SET updated_at = '12000-01-01' WHERE id = %s", [bad.pk])
    job = carried_out(Asked(types=("Patient",)))
    assert [line["id"] for line in lines(job)] == [str(good.pk)]
    (told,) = lines(job, "error")
    assert told["issue"][0]["diagnostics"].startswith(f"Patient/{bad.pk} was left out")
    assert "12000" not in json.dumps(told).replace(str(bad.pk), "")
    assert faults(told) == []


@pytest.mark.parametrize("organized", [False, True])
def test_a_row_with_a_value_that_does_not_open_is_left_out_and_told_of_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, *, organized: bool
) -> None:
    monkeypatch.setattr(closed_values, "EVERY_S", 0)
    good, bad = make_patient_insurance(), make_patient_insurance()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE insurance_patientinsurance SET member_id = 'W123' WHERE id = %s", [bad.pk])
    job = carried_out(Asked(types=("Coverage",), organize_by="Patient" if organized else ""))
    assert [line["id"] for line in lines(job) if line["resourceType"] == "Coverage"] == [str(good.pk)]
    (told,) = lines(job, "error")
    assert told["issue"][0]["diagnostics"].startswith(f"Coverage/{bad.pk} was left out: The field 'member_id'")
    assert (faults(told), Alert.objects.get(kind=closed_values.KIND).resolved_at) == ([], None)


def test_a_line_that_is_no_json_is_left_out_as_well(settings: Any) -> None:
    settings.EXPORT_SAMPLE = 1
    basic = Resource("Basic", {**head("Basic"), "language": Safe("word"), "code": {"text": "Note"}})
    problems = writing.Cut("line", "error", "OperationOutcome", lambda _: None)
    good, bad = (("1", "1", "2026-01-01T00:00:00Z", word) for word in ("en", 'e"n'))
    assert writing.Sample(basic, {}).without_faulty([good, bad], problems) == [good]
    assert problems.count == 1
    problems.discard()


def test_a_line_that_says_something_else_than_what_was_judged_is_left_out(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXPORT_SAMPLE, patient = 1, make_patient()
    monkeypatch.setattr(Resource, "line", lambda *_: lambda _: '{"resourceType":"Patient"}')
    job = carried_out(Asked(types=("Patient",)))
    assert lines(job) == []
    assert lines(job, "error")[0]["issue"][0]["diagnostics"].startswith(f"Patient/{patient.pk} was left out")


def test_files_are_cut_by_bytes_and_what_was_not_honoured_is_told_of(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXPORT_FILE_BYTES = 1
    monkeypatch.setattr(writing, "AT_ONCE", 1)
    for _ in range(3):
        make_patient()
    issue = {"severity": "warning", "code": "not-supported", "diagnostics": "It was left out."}
    job = carried_out(Asked(types=("Patient",)), problems=[issue])
    assert list(ExportFile.objects.filter(kind="output").values_list("count", flat=True)) == [1, 1, 1]
    assert lines(job, "error") == [{"resourceType": "OperationOutcome", "issue": [issue]}]


def test_elements_times_filters_and_patients_limit_what_is_in_the_files() -> None:
    old, ada, eve = (make_patient(gender=gender) for gender in ("female", "female", "male"))
    Patient.objects.filter(pk=old.pk).update(updated_at=timezone.now() - timedelta(days=9))
    since, until = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)
    limits = {"types": ("Patient",), "since": since, "until": until, "elements": ("Patient.gender",)}
    (told,) = lines(carried_out(Asked(**limits, type_filters=(("Patient", "gender=male"),))))
    assert (told["id"], "gender" in told, "address" in told) == (str(eve.pk), True, False)
    only = carried_out(Asked(types=("Patient",), patients=(str(ada.pk),)), level=ExportLevel.PATIENT)
    assert [line["id"] for line in lines(only)] == [str(ada.pk)]


def test_a_group_export_holds_its_members_and_no_others_and_who_was_deleted_of_them() -> None:
    inside, gone, outside, lost = (make_patient() for _ in range(4))
    group = PatientGroup.objects.create(name="Panel")
    PatientGroup.objects.create(name="Another")
    for member in (inside, gone):
        PatientGroupMember.objects.create(group=group, patient=member)
    for patient in (gone, lost):
        patient.delete()
    since = timezone.now() - timedelta(days=1)
    job = carried_out(Asked(types=("Patient", "Group"), since=since), level=ExportLevel.GROUP, group=group)
    assert {line["id"] for line in lines(job)} == {str(inside.pk), str(group.pk)}
    (bundle,) = lines(job, "deleted")
    assert [entry["request"] for entry in bundle["entry"]] == [{"method": "DELETE", "url": f"Patient/{gone.pk}"}]
    assert faults(bundle) == []
    assert outside.pk not in Disclosure.objects.get().patients.values_list("patient", flat=True)


def test_an_export_of_some_patients_names_no_others_as_members_or_in_the_log() -> None:
    inside, named, outside, lost = (make_patient() for _ in range(4))
    group = PatientGroup.objects.create(name="Panel")
    for member in (inside, named, lost):
        PatientGroupMember.objects.create(group=group, patient=member)
    for patient in (inside, named, outside, lost):
        audit.record(None, "retrieve", "patient", str(patient.pk), patient_id=patient.pk)
    audit.record(None, "list", "patient")
    lost.delete()

    def told(level: ExportLevel, *patients: Patient) -> list[str]:
        of = {"level": level, "group": group if level == ExportLevel.GROUP else None}
        only = tuple(str(patient.pk) for patient in patients)
        return [json.dumps(one) for one in lines(carried_out(Asked(("AuditEvent", "Group"), patients=only), **of))]

    def names(found: list[str]) -> set[Patient]:
        return {one for one in (inside, named, outside, lost) if str(one.pk) in " ".join(found)}

    whole = told(ExportLevel.GROUP)
    assert (names(whole), [one for one in whole if '"list"' in one]) == ({inside, named}, [])
    assert sum('"Group"' in one for one in whole) == 1
    assert names(told(ExportLevel.GROUP, named)) == {named}
    assert names(told(ExportLevel.PATIENT, named)) == {named}
    assert names(told(ExportLevel.PATIENT)) == {inside, named, outside}
    assert lost.pk not in Disclosure.objects.order_by("created_at")[0].patients.values_list("patient", flat=True)


def test_a_member_whose_record_was_merged_is_told_as_gone_to_the_group() -> None:
    gone, into, only = (make_patient() for _ in range(3))
    group = PatientGroup.objects.create(name="Panel")
    for member in (gone, only):
        PatientGroupMember.objects.create(group=group, patient=member)
    merging.merge(gone, by=None, into=into)
    asked = Asked(types=("Patient",), since=timezone.now() - timedelta(days=1))
    job = carried_out(asked, level=ExportLevel.GROUP, group=group)
    (bundle,) = lines(job, "deleted")
    assert [entry["request"]["url"] for entry in bundle["entry"]] == [f"Patient/{gone.pk}"]
    assert {line["id"] for line in lines(job)} == {str(into.pk), str(only.pk)}
    apart = carried_out(replace(asked, patients=(str(only.pk),)), level=ExportLevel.GROUP, group=group)
    assert lines(apart, "deleted") == []


def test_an_export_that_cannot_be_written_fails_with_a_sentence_and_can_be_tried_again(folder: Path) -> None:
    make_patient()
    folder.parent.joinpath("exports").write_text("a file where the folder should be")
    job = begun(Asked(types=("Patient",)))
    ExportChunk.work.update(attempts=4)
    with Hands() as hands:
        hands.lead(job)
        ExportChunk.work.update(attempts=ExportChunk.max_attempts - 1)
        hands.work(time.monotonic() + 5)
    job.release()
    fhir_export.run_due()
    job.refresh_from_db()
    assert (job.status, job.failure) == ("failed", "1 of 1 parts could not be written, of Patient.")
    folder.unlink()
    services.retry(job)
    fhir_export.run_due()
    job.refresh_from_db()
    assert (job.status, len(lines(job))) == ("completed", 1)


def test_files_may_lie_in_s3_and_what_a_dead_worker_left_there_is_removed(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, settings.DATA_DIR = make_patient(), tmp_path
    with S3Double() as s3:
        bucket = {"BACKEND": "backend.apps.interop.fhir.exports.bucket.Bucket", "OPTIONS": s3.options()}
        settings.STORAGES = {**settings.STORAGES, "exports": bucket}
        job = begun(Asked(types=("Patient",)))
        with Hands() as hands:
            hands.lead(job)
            chunk, again = leased_twice()
            monkeypatch.setenv("CARERELAY_EGRESS_ALLOW", "localhost:1")
            with pytest.raises(Misconfigured, match=r"CARERELAY_EGRESS_ALLOW.*exports:egress"):
                hands.write(again)
            assert (s3.objects, s3.requests) == ({}, []), "nothing left this machine"
            monkeypatch.delenv("CARERELAY_EGRESS_ALLOW")
            dead = Ndjson(f"{job.pk}/{chunk.pk}-{chunk.lease_no}-output-0{SUFFIX}")
            dead.write(b"{}\n", 1)
            dead.close()
            hands.write(again)
        assert list(s3.objects) == [ExportFile.objects.get().path]
        assert [line["id"] for line in lines(job)] == [str(patient.pk)]
        half = Ndjson("half")
        for place in (half._part, half._part.with_name("new.part")):
            place.touch()
        os.utime(half._part, (0, 0))
        assert files.sweep_parts() == 1
        half.discard()


def test_a_connection_that_breaks_while_rows_are_read_costs_a_new_try_and_no_row() -> None:
    patient = make_patient()
    job = begun(Asked(types=("Patient",)))
    with Hands() as hands:
        hands.lead(job)
        reading = hands.reading
        assert reading is not None
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [reading.connection.info.backend_pid])
        hands.work(time.monotonic() + 1)
    assert ExportChunk.work.get().last_error.startswith("the rows cannot be read")
    ExportChunk.work.update(due_at=timezone.now())
    job.release()
    fhir_export.run_due()
    assert [line["id"] for line in lines(job)] == [str(patient.pk)]


def test_another_worker_lends_a_hand_from_the_same_state_and_waits_where_nobody_holds_one() -> None:
    make_patient()
    job = begun(Asked(types=("Patient",)))
    with Hands() as hands:
        hands.lead(job)
        Patient.objects.update(city="Troy")
        ExportChunk.work.update(due_at=timezone.now() + timedelta(hours=1))
    ExportChunk.work.update(due_at=timezone.now())
    assert fhir_export.write_due() == "0 written"
    assert ExportChunk.work.get().due_at > timezone.now()
    with Hands() as hands:
        hands.lead(job)
        Patient.objects.update(city="Albany")
        ExportChunk.work.update(due_at=timezone.now())
        assert fhir_export.write_due() == "1 written"
    assert [line["address"][0]["city"] for line in lines(job)] == ["Troy"]
