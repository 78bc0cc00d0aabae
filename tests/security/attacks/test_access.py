"""Attacks 1 to 10: reading and writing what is somebody else's."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.contrib import admin
from django.utils import timezone

from backend.apps.appointments.tests.factories import free_time
from backend.apps.core.models import Clinic
from backend.apps.core.permissions import may
from backend.apps.core.roles import Role
from backend.apps.doctors.tests.factories import make_credential
from backend.apps.insurance.tests.factories import billing_entity, line, make_patient_insurance
from backend.apps.insurance.tests.inquiry_factories import make_interchange
from backend.apps.insurance.tests.remittance_factories import make_inbound_file
from backend.apps.interop.console_urls import urlpatterns as console
from backend.apps.interop.fhir.smart import tokens
from backend.apps.interop.tests.fhir.export_rows import completed, make_file
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.tests.factories import make_medication
from tests.security.attacks.attack import FORM, Attack
from tests.security.attacks.stack import put_off
from tests.security.attacks.test_injection import a_body
from tests.security.matrix import RESOURCES, Practice, calls, make, other_people

API, FHIR = "/api/v1", "/fhir/R4"
CLOSED = {302, 401, 403, 404, 405}


def test_attack_01_each_address_and_method_is_closed_to_strangers_and_to_other_patients(
    attack: Attack, mine: Practice, rows: dict[str, Any]
) -> None:
    for name in RESOURCES:
        attack.call("get", f"{API}/{name}/", status=401)
        attack.call("post", f"{API}/{name}/", json={}, status=401)
    for entry in console:
        words = {"verb": "build", "name": "silent", "task": "lab_results.file"}
        path = str(entry.pattern)
        for word, converter in entry.pattern.converters.items():
            path = path.replace(f"<{type(converter).__name__[:-9].lower()}:{word}>", words.get(word, str(uuid4())))
        attack.call("get", f"/console/{path}", status=CLOSED)
        attack.call("get", f"/console/{path}", by=mine.logins["patient"], pages=True, status=CLOSED)
    for name, row in rows.items():
        for role in (Role.PATIENT, Role.DOCTOR):
            for call in calls(name):
                if call.detail and call.action != "break_glass":  # the one door for doctors, with its own tests
                    more: dict[str, Any] = {} if call.method == "get" else {"json": {}}
                    attack.call(call.method, call.url(name, row.pk), by=mine.logins[role], status={403, 404}, **more)
    attack.traced("retrieve", at_least=len(rows), user_id=mine.logins["patient"].pk)
    attack.traced("partial_update", at_least=9)


def whole_bodies(whose: Practice, doctor: str) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """Return {(resource, role): (field, body)}: all that is asked for, its `field` of this practice."""
    patient, visit = str(whose.patient.pk), make("appointments", whose)
    note = make("clinical-notes", whose, draft=True)
    coverage = make_patient_insurance(patient=whose.patient, priority=2)
    drug = {"medication": str(make_medication().pk), "dosage": "1 tablet", "frequency": "at night", "quantity": "30"}
    yesterday = str(Clinic.today() - timedelta(days=1))
    later = {"appointment_datetime": free_time().isoformat(), "availability_override_reason": "urgent"}
    return {
        ("appointments", "doctor"): ("patient", {"patient": patient, "doctor": doctor, **later}),
        ("clinical-notes", "doctor"): ("patient", {"patient": patient, "note_type": "progress"}),
        ("lab-orders", "doctor"): (
            "patient",
            {"patient": patient, "doctor": doctor, "tests": [str(make("lab-tests", whose).pk)]},
        ),
        ("prescriptions", "doctor"): ("patient", {"patient": patient, **drug, "refills_allowed": 1}),
        ("soap-notes", "doctor"): ("clinical_note", {"clinical_note": str(note.pk), "subjective": "x"}),
        ("prescription-refills", "patient"): ("prescription", {"prescription": str(make("prescriptions", whose).pk)}),
        ("insurance-claims", "receptionist"): (
            "appointment",
            {"patient_insurance": str(coverage.pk), "appointment": str(visit.pk), "diagnosis_codes": ["I10"],
             "service_date": yesterday, "procedure_codes": [line("100.00")]},
        ),
    }  # fmt: skip


def test_attack_02_an_id_of_somebody_else_inside_a_body_opens_nothing(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    visit, doctor = make("appointments", mine), str(mine.doctor.pk)
    own, other = whole_bodies(mine, doctor), whole_bodies(theirs, doctor)
    billing_entity(is_default=True)
    put_off()
    victim = str(theirs.patient.pk)
    for (resource, role), (field, body) in own.items():
        wrong = {**body, field: other[resource, role][1][field]}
        answer = attack.call("post", f"{API}/{resource}/", json=wrong, by=mine.logins[role], status=400)
        assert {error["field"] for error in answer.json()["errors"]} == {field}, (resource, answer.text)
    person = a_body(first_name="Ann", last_name="Other")
    taken = {**person, "user": str(theirs.logins["patient"].pk)}
    attack.call("post", f"{API}/patients/", json=taken, by=mine.logins["receptionist"], status=400)
    for field, value in (("patient", victim), ("doctor", str(theirs.doctor.pk)), ("id", str(uuid4()))):
        attack.call(
            "patch", f"{API}/appointments/{visit.pk}/", json={field: value}, by=mine.logins["patient"], status=403
        )
    attack.call(
        "patch", f"{API}/appointments/{visit.pk}/", json={"patient": victim}, by=mine.logins["doctor"], status=400
    )
    attack.traced("create", outcome="failed", at_least=len(own) + 1)
    attack.traced("partial_update")
    attack.lawful(to_the_end=True)
    for (resource, role), (_, body) in own.items():
        attack.call("post", f"{API}/{resource}/", json=body, by=mine.logins[role], status=201, shows=True)
    attack.call("post", f"{API}/patients/", json=person, by=mine.logins["receptionist"], status=201)


def test_attack_03_no_filter_search_order_or_include_finds_somebody_else(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    doctor, victim = mine.logins["doctor"], str(theirs.patient.pk)
    for query in (
        {"search": "qvxwz"},
        {"last_name": "Qvxwz"},
        {"email": "qvxwzmail@example.org"},
        {"date_of_birth": "1932-08-24"},
        {"phone": "+14155558462"},
    ):
        attack.call("get", f"{API}/patients/", params=query, by=doctor, status=400)
        text = {"text": "".join(query.values())}
        assert attack.call("post", f"{API}/patients/search/", json=text, by=doctor, status=200).json() == []
    for resource in ("appointments", "lab-orders", "clinical-notes", "prescriptions"):
        answer = attack.call("get", f"{API}/{resource}/", params={"patient": victim}, by=doctor, status={200, 400})
        assert answer.status_code == 400 or answer.json()["results"] == []
    for query in (
        {"ordering": "user__password"},
        {"ordering": "last_name"},
        {"ordering": "patient__phone"},
        {"expand": "patient"},
        {"include": "patient"},
        {"fields": "user__password"},
        {"user__password__startswith": "a"},
        {"patient__last_name__startswith": "Q"},
    ):
        for resource in ("patients", "appointments"):
            attack.call("get", f"{API}/{resource}/", params=query, by=doctor, status=400)
    for query in ("_include=Appointment:patient", f"patient={victim}&_include=*", f"patient=Patient/{victim}"):
        answer = attack.call("get", f"{FHIR}/Appointment?{query}", by=doctor, status={200, 400, 403})
        assert victim not in answer.text.replace(query, "").replace(f"Patient%2F{victim}", "").replace(victim, "", 2)
    attack.traced("list", outcome="allowed", at_least=5)


def test_attack_04_an_answer_does_not_tell_whether_a_row_of_somebody_else_exists(
    attack: Attack, mine: Practice, theirs: Practice, rows: dict[str, Any]
) -> None:
    for name in ("patients", "appointments", "lab-orders", "clinical-notes"):
        row = rows[name]
        for method in ("get", "patch", "head", "delete"):
            told = []
            for pk in (row.pk, uuid4()):
                path = f"{API}/{name}/{pk}/"
                more: dict[str, Any] = {"json": {}, "headers": {"If-Match": '"1"'}} if method == "patch" else {}
                answer = attack.call(method, path, by=mine.logins["doctor"], status={403, 404}, **more)
                kept = {key for key in answer.headers if key.lower() not in {"date", "x-request-id"}}
                told.append((answer.status_code, answer.text, sorted(kept), answer.headers.get("ETag")))
            assert told[0] == told[1], (name, method)
    told = [
        attack.call("get", f"{FHIR}/Patient/{pk}", by=mine.logins["doctor"], status={403, 404}).text.replace(
            str(pk), ""
        )
        for pk in (theirs.patient.pk, uuid4())
    ]
    assert told[0] == told[1]
    for link in ("/a/" + "x" * 22, "/a/" + "y" * 22):
        attack.call("get", link, status={404, 410})
    counted = attack.call("get", f"{API}/patients/", by=mine.logins["doctor"], status=200).json()
    assert str(theirs.patient.pk) not in {row["id"] for row in counted["results"]}
    assert "count" not in counted
    attack.traced("retrieve", at_least=8)


def test_attack_05_own_and_foreign_ids_in_one_call_do_nothing_to_the_foreign_ones(
    attack: Attack, mine: Practice, theirs: Practice, rows: dict[str, Any]
) -> None:
    own, other = make("insurance-claims", mine), rows["insurance-claims"]
    gone = make("insurance-claims", other_people(mine))
    gone.delete()
    reminders = [make("appointment-reminders", mine), rows["appointment-reminders"]]
    put_off()
    mixed = {"claims": [str(own.pk), str(other.pk)]}
    for verb in ("scrub", "submit"):
        for role in ("patient", "doctor", "nurse", "lab_tech"):
            attack.call("post", f"{API}/insurance-claims/{verb}/", json=mixed, by=mine.logins[role], status=403)
        for ids in ([str(gone.pk)], [str(own.pk), str(gone.pk)], [str(own.pk), "x"], ["../"], [None], [{}]):
            attack.call(
                "post",
                f"{API}/insurance-claims/{verb}/",
                json={"claims": ids},
                by=mine.logins["receptionist"],
                status=400,
            )
    form = [("ids", str(one.pk)) for one in reminders] + [("row", str(one.pk)) for one in reminders]
    for path in ("reminders/bulk/", "work/reminders.deliver/bulk/", "claims/bulk/", "alerts/bulk/"):
        attack.call("post", f"/console/{path}", data=form, by=mine.logins["doctor"], pages=True, status={403, 404})
    attack.traced("submit_each", at_least=4)


def test_attack_06_exports_downloads_histories_and_prints_are_behind_the_same_door(
    attack: Attack, mine: Practice, theirs: Practice, rows: dict[str, Any]
) -> None:
    file = make_file(completed(client=make_system().row), b'{"resourceType":"Patient","id":"Qvxwz"}\n')
    inbound, outbound = make_inbound_file(), make_interchange()
    credential = make_credential(doctor=theirs.doctor)
    result = rows["lab-results"]
    put_off()
    for role in ("patient", "doctor", "nurse", "receptionist", "lab_tech", "pharmacist"):
        login = mine.logins[role]
        attack.call("get", f"{FHIR}/exports/files/{file.pk}", by=login, status={401, 403, 404})
        attack.call("get", f"{API}/inbound-files/{inbound.pk}/download/", by=login, status={403, 404})
        attack.call("get", f"{API}/interchanges/{outbound.pk}/download/", by=login, status={403, 404})
        attack.call("get", f"{API}/doctor-credentials/{credential.pk}/download/", by=login, status={403, 404})
        attack.call("get", f"{API}/audit-logs/", by=login, status=403)
        for page in (
            f"/admin/patients/patient/{theirs.patient.pk}/history/",
            "/admin/core/auditlog/",
            f"/admin/laboratory/labresult/{result.pk}/history/",
            "/console/audit/",
            f"/console/credentials/{credential.pk}/document/",
            "/console/exports/",
        ):
            shows = "history" in page and role != "patient"
            attack.call("get", page, by=login, pages=True, status={302, 403, 404, *([200] if shows else [])})
    for page in (f"/admin/patients/patient/{theirs.patient.pk}/{kind}/" for kind in ("history", "change", "delete")):
        attack.call("get", page, by=mine.logins["doctor"], pages=True, status={302, 403, 404})
    attack.call("get", f"/media/{credential.document.name or 'credentials/x.pdf'}", status=404)
    attack.call("get", f"/media/exports/{file.pk}.ndjson.gz", by=mine.logins["admin"], pages=True, status=404)
    attack.traced("download", at_least=6)


def test_attack_07_fhir_gives_no_more_than_the_reader_may_see_whichever_way_it_is_asked(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    victim, doctor = theirs.patient.pk, mine.logins["doctor"]
    narrow = tokens.issue(make_system().row.pk, ["system/Medication.rs"], now=timezone.now())
    for path in (f"Patient/{victim}", f"Patient/{victim}/$everything", f"Patient/{victim}/_history/1"):
        attack.call("get", f"{FHIR}/{path}", by=doctor, status={403, 404})
        attack.call("get", f"{FHIR}/{path}", by=mine.logins["patient"], status={403, 404})
        attack.call("get", f"{FHIR}/{path}", token=narrow, status={403, 404})
        attack.call("get", f"{FHIR}/{path}", status=401)
    for query in (
        "family=Qvxwz",
        "birthdate=1932-08-24",
        f"_id={victim}",
        f"_id={victim}&_revinclude=Appointment:patient",
        "_has:Appointment:patient:status=booked",
        f"_id={victim}&_elements=name&_summary=text",
    ):
        for method, path, more in (
            ("get", f"{FHIR}/Patient?{query}", {}),
            ("post", f"{FHIR}/Patient/_search", {"data": dict(part.split("=", 1) for part in query.split("&"))}),
        ):
            answer = attack.call(method, path, by=doctor, status={200, 400}, **more)
            assert answer.status_code == 400 or answer.json().get("entry", []) == [], (method, query)
            attack.call(method, path, token=narrow, status=403, **more)
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": f"Patient/{victim}"}}],
    }
    for address in ("/", "/Bundle"):
        attack.call("post", f"{FHIR}{address}", json=batch, by=doctor, status={400, 403, 404, 405, 422})
    attack.call("get", f"{FHIR}/$export", by=doctor, headers={"Prefer": "respond-async"}, status={401, 403})
    attack.traced(at_least=20)


def test_attack_08_no_address_becomes_a_web_socket_or_an_open_stream(attack: Attack) -> None:
    for path in ("/", "/ws/", "/console/", "/api/v1/appointments/", "/fhir/R4/Patient"):
        upgrade = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{attack.stack.web}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        told = attack.raw(upgrade.encode(), wait_s=0.5)
        assert told.split(b"\r\n")[0].split()[1] in {b"302", b"400", b"401", b"404", b"426"}, told[:200]
        stream = attack.call("get", path, headers={"Accept": "text/event-stream"}, status={302, 401, 404, 406})
        assert "event-stream" not in stream.headers.get("Content-Type", "")
    attack.untraced("nobody is signed in, and an address that is not there asks nobody")


def test_attack_09_the_forms_of_the_admin_find_nobody_for_who_may_not_search(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    seen = set()
    for model, site in admin.site._registry.items():
        for field in getattr(site, "autocomplete_fields", ()):
            of = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field}
            asked = partial(attack.call, "post", "/admin/autocomplete/", data={**of, "term": "qvxwz"}, **FORM)
            asked(status=302)
            asked(by=mine.logins["patient"], pages=True, status=302)
            for role in ("doctor", "receptionist"):
                shows, named = role == "receptionist", model._meta.get_field(field).related_model
                table = admin.site._registry[named].permissions
                status = 200 if may(mine.logins[role], "list", table) else 403
                answer = asked(by=mine.logins[role], pages=True, status=status, shows=shows)
                found = answer.json()["results"] if status == 200 else []
                assert found == [] or shows, (model, field)
                seen |= {(role, named)} if found else set()
    assert ("receptionist", Patient) in seen, "who may search finds the victim"
    attack.traced("admin.view")


def test_attack_10_deleted_and_merged_patients_are_nowhere(attack: Attack, mine: Practice, theirs: Practice) -> None:
    gone, merged = make_patient(first_name="Qvxwzgone"), make_patient(last_name="Qvxwzmerged")
    for patient in (gone, merged):
        make("appointments", Practice(patient, mine.doctor, mine.employee, mine.logins))
    Patient.all_objects.filter(pk=merged.pk).update(
        merged_into=mine.patient, is_deleted=True, deleted_at=timezone.now()
    )
    gone.delete()
    admin_login = mine.logins["admin"]
    for patient in (gone, merged):
        for login in (mine.logins["doctor"], admin_login):
            attack.call("get", f"{API}/patients/{patient.pk}/", by=login, status=404)
            attack.call("patch", f"{API}/patients/{patient.pk}/", json={"city": "x"}, by=login, status={403, 404})
            attack.call("get", f"{FHIR}/Patient/{patient.pk}", by=login, status={404, 410})
        attack.call(
            "get", f"/admin/patients/patient/{patient.pk}/change/", by=admin_login, pages=True, status={302, 404}
        )
        attack.call(
            "post",
            f"{API}/patients/{mine.patient.pk}/merge/",
            json={"into": str(patient.pk)},
            by=admin_login,
            status=400,
        )
        for text in ("qvxwzgone", "qvxwzmerged"):
            found = attack.call("post", f"{API}/patients/search/", json={"text": text}, by=admin_login, status=200)
            assert found.json() == []
    attack.traced("retrieve", at_least=4)
    attack.traced("partial_update", at_least=2)
