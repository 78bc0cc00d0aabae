"""Holds that whoever saw a patient is found, in lists and searches too, and that all that went out is accounted for."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment, make_reminder
from backend.apps.core import audit
from backend.apps.core.models import AuditLog
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance
from backend.apps.insurance.tests.inquiry_factories import (
    make_eligibility_inquiry,
    make_interchange,
    make_status_inquiry,
    make_submission,
)
from backend.apps.interop import disclosures, who_saw
from backend.apps.interop.tests.fhir.export_rows import make_disclosure, make_file
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.laboratory.tests.factories import make_lab_order, make_order_message
from backend.apps.messaging.tests.inbox_factories import make_patient_message
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def asked(patient: Patient) -> list[tuple[str, str, str]]:
    now = timezone.now()
    found = who_saw.who_saw(patient, now - timedelta(days=1), now + timedelta(days=1))
    return [(seen.how, seen.action, seen.who) for seen in found]


def test_a_list_and_a_search_tell_whom_they_showed() -> None:
    admin, patient, other = make_user("admin"), make_patient(), make_patient()
    for one in (patient, patient, other):
        make_appointment(patient=one)
    api = APIClient()
    api.force_authenticate(admin)
    assert api.get("/api/v1/appointments/").status_code == api.get(f"/api/v1/patients/{patient.pk}/").status_code == 200
    assert api.get("/fhir/R4/Appointment").status_code == 200
    pages = Client()
    pages.force_login(admin)
    assert pages.get("/admin/patients/patient/").status_code == 200
    listed = AuditLog.objects.get(action="list", resource_type="appointment")
    assert listed.detail["patients"] == sorted([str(patient.pk), str(other.pk)])
    audit.record(None, "retrieve", "patient", str(patient.pk), patient_id=patient.pk, outcome="refused")
    name = admin.full_name or admin.email
    assert asked(patient) == [
        ("list", "list", name), ("read", "retrieve", name), ("list", "list", name), ("list", "admin.list", name),
    ]  # fmt: skip
    found = api.get("/api/v1/audit-logs/", {"showed": str(patient.pk), "outcome": "allowed"}).data["results"]
    assert len(found) == 4
    alone = make_patient()
    assert api.get("/api/v1/audit-logs/", {"showed": f" {str(alone.pk).upper()} "}).data["results"] == []
    assert AuditLog.objects.filter(resource_type="auditlog", detail__patients=[str(alone.pk)]).count() == 1
    page = pages.get(reverse("console:audit"), {"patient": str(patient.pk), "outcome": "allowed"}).content.decode()
    assert page.count("<b>admin.list</b>") == 1


def test_rows_that_lead_to_their_patient_through_another_table_need_one_query(
    django_assert_num_queries: Any,
) -> None:
    rows = [make_reminder(), make_reminder()]
    wanted = sorted(str(row.appointment.patient_id) for row in rows)
    fresh = type(rows[0]).objects.filter(pk__in=[row.pk for row in rows])
    for kept, queries in (
        (list(fresh), 1),
        (list(audit.whose(fresh)), 0),
        (list(fresh.select_related("appointment")), 0),
    ):
        with django_assert_num_queries(queries):
            assert audit.patients_of(kept) == {"patients": wanted}
    assert audit.patients_of([make_user("nurse")]) == {}


def test_exports_systems_and_a_merged_record_are_told_of_too() -> None:
    patient, system = make_patient(), make_system()
    make_disclosure(patient)
    audit.record(None, "read", "Patient", str(patient.pk), patient_id=patient.pk, detail={"client": str(system.row.pk)})
    into = make_patient()
    Patient.all_objects.filter(pk=patient.pk).update(merged_into=into, is_deleted=True, deleted_at=timezone.now())
    assert sorted(how for how, *_ in asked(into)) == ["export", "read"]
    assert asked(into) == asked(Patient.all_objects.get(pk=patient.pk))


def test_the_command_the_console_and_the_api_find_the_same_entries() -> None:
    patient, other, admin = make_patient(), make_patient(), make_user("admin")
    into, job = make_patient(), make_disclosure(patient).job
    file = make_file(job)
    Patient.all_objects.filter(pk=patient.pk).update(merged_into=into, is_deleted=True, deleted_at=timezone.now())
    ids = {"ids": [str(patient.pk), str(other.pk)]}
    wanted = [
        audit.record(None, *words, **more)
        for words, more in (
            (("retrieve", "appointment", "x"), {"patient_id": patient.pk}),
            (("list", "appointment"), {"detail": {"patients": sorted([str(patient.pk), str(other.pk)])}}),
            (("list", "patient"), {"detail": ids}),  # as lists were noted before they named patients
            (("everything", "Patient", str(patient.pk)), {}),
            (("export", "exportjob", str(job.pk)), {}),
            (("export.download", "exportjob", str(file.pk)), {"detail": {"job": str(job.pk)}}),
        )
    ]
    for words, more in (
        (("list", "appointment"), {"detail": ids}),  # these are ids of visits
        (("list", "patient"), {"detail": {"ids": [str(other.pk)]}}),
        (("list", "patient"), {"detail": {}}),
        (("search", "Patient"), {"detail": {"patients": [str(other.pk)], **ids}}),
        (("export.status", "exportjob", str(job.pk)), {}),
        (("export", "exportjob", str(other.pk)), {}),
    ):
        audit.record(None, *words, **more)
    long_ago = AuditLog.objects.create(
        action="retrieve", resource_type="patient", patient_id=into.pk, timestamp=timezone.now() - timedelta(days=2000)
    )
    keys, span = {str(row.pk) for row in wanted}, (timezone.now() - timedelta(days=2100), timezone.now() + timedelta(1))
    pages = Client()
    pages.force_login(admin)
    for one in (into, patient):
        told = {str(seen.entry) for seen in who_saw.who_saw(one, *span) if seen.entry and not seen.login}
        assert told == {*keys, str(long_ago.pk)}
        found = client_for(admin).get("/api/v1/audit-logs/", {"showed": str(one.pk)}).data["results"]
        assert keys <= {row["id"] for row in found if row["user"] is None} <= told
        days = {"patient": str(one.pk), "first": f"{span[0]:%Y-%m-%d}", "last": f"{span[1]:%Y-%m-%d}"}
        page = pages.get(reverse("console:audit"), days).content.decode()
        assert {str(row.pk) for row in AuditLog.objects.filter(user=None) if f"/{row.pk}/" in page} == told
    noted = AuditLog.objects.filter(user=admin, resource_type="auditlog", detail__patients__contains=[str(patient.pk)])
    assert set(noted.values_list("action", flat=True)) == {"list", "console.list"}  # the look itself is one at them


def lost(since: Any) -> dict[str, Any]:
    """Return what a message has whose answer was lost on the way back."""
    return {"status": "pending", "work_state": "held", "provider": "twilio", "uncertain_since": since}


def test_what_went_out_or_may_have_is_accounted_for_also_where_the_row_was_deleted() -> None:
    patient, now = make_patient(), timezone.now()
    coverage = make_patient_insurance(patient=patient)
    claim, order = make_claim(patient_insurance=coverage), make_lab_order(patient=patient, status="ordered")
    visit, sent = make_appointment(patient=patient), {"status": "sent", "sent_at": now, "work_state": "done"}
    doubt = make_interchange(status="in_doubt", sent_at=None, spoken_at=now, work_state="held")
    staged = make_interchange(status="staged", sent_at=None, staged_at=now, work_state="waiting")
    sure = [
        make_submission(claim, make_interchange(sent_at=now)),
        make_eligibility_inquiry(coverage=coverage, sent_at=now),
        make_status_inquiry(claim=claim, status="sent", sent_at=now),
        make_order_message(lab_order=order, status="accepted", raw=b"MSH", sent_at=now),
        make_patient_message(patient, **sent),
        make_reminder(appointment=visit, **sent),
    ]
    unsure = [
        make_submission(make_claim(patient_insurance=coverage), doubt, status="batched", sent_at=None),
        make_eligibility_inquiry(
            coverage=make_patient_insurance(patient=patient, priority=2), interchange=staged, status="batched",
            sent_at=None,
        ),
        make_status_inquiry(claim=make_claim(patient_insurance=coverage), interchange=doubt, status="batched"),
        make_order_message(lab_order=order, status="uncertain", raw=b"MSH", sent_at=now),
        make_patient_message(patient, **lost(now)),
        make_reminder(appointment=make_appointment(patient=patient), **lost(now)),
    ]  # fmt: skip
    ready = make_interchange(status="ready", sent_at=None, work_state="waiting")
    make_submission(make_claim(patient_insurance=coverage), ready, status="batched", sent_at=None)
    make_order_message(lab_order=order)
    make_patient_message(patient)
    for row in sure:
        row.delete()

    def keys(rows: Any) -> set[str]:
        return {f"{row._meta.model_name} {row.pk}" for row in rows}

    told = list(disclosures.disclosures(patient, now - timedelta(days=1), now + timedelta(days=1)))
    assert {one.row for one in told if not one.what.endswith(disclosures.UNSURE)} == keys(sure)
    assert {one.row for one in told if one.what.endswith(disclosures.UNSURE)} == keys(unsure)
    assert {one.why for one in told if "claim" in one.row or "inquiry" in one.row} == {disclosures.PAYMENT}
    assert all(one.to for one in told)


def test_every_kind_of_disclosure_is_in_the_accounting_and_its_cells_run_no_formula() -> None:
    patient, system, now = make_patient(), make_system(), timezone.now()
    visit = make_appointment(patient=patient)
    make_reminder(appointment=visit, sent_at=now, status="sent", work_state="done")
    make_reminder(appointment=make_appointment(patient=patient))  # not sent
    make_disclosure(patient)
    type(system.row).objects.filter(pk=system.row.pk).update(name="=1+1", purpose="@research")
    audit.record(None, "read", "Patient", str(patient.pk), patient_id=patient.pk, detail={"client": str(system.row.pk)})
    told = list(disclosures.disclosures(patient, now - timedelta(days=1), now + timedelta(days=1)))
    assert sorted(one.row.split()[0] for one in told) == ["appointmentreminder", "auditlog", "disclosure"]
    assert told == sorted(told, key=lambda one: one.at)
    out = io.StringIO()
    call_command("audit", "disclosures", patient.medical_record_number, "--csv", stdout=out)
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows[0] == list(disclosures.HEADINGS)
    assert ["'=1+1", "'@research"] in [[row[1], row[3]] for row in rows]
    assert AuditLog.objects.get(action="disclosures").patient_id == patient.pk


def test_the_command_refuses_what_it_does_not_understand() -> None:
    patient = make_patient()
    for words, told in (
        (["who-saw", "nobody"], "No patient has this id"),
        (["who-saw", str(patient.pk), "--from", "yesterday"], "Write the moment as"),
        (["who-saw", str(patient.pk), "--from", "2026-02-02", "--to", "2026-02-01"], "lies before the first"),
        (["who-saw", str(patient.pk), "--to", "9999-12-31"], "days of the years 1900 to 2999"),
        (["disclosures", str(patient.pk), "--from", "0001-01-01"], "days of the years 1900 to 2999"),
        (["verify", "--file", "/nowhere/audit.gz"], "/nowhere/audit.gz: No such file or directory"),
    ):
        with pytest.raises(CommandError, match=told):
            call_command("audit", *words)
    out = io.StringIO()
    call_command("audit", "who-saw", patient.medical_record_number.lower(), stdout=out, stderr=io.StringIO())
    assert out.getvalue().count("\n") == 1  # that somebody asks is a look too
