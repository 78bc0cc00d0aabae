"""Proves what notes, documents, origins and the audit log say as FHIR, and what of them is gone when."""

from __future__ import annotations

import pytest

from backend.apps.clinical_notes.models import ClinicalNote
from backend.apps.clinical_notes.tests.factories import make_note, make_soap
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.interop.fhir.sources.audit import AUDIT
from backend.apps.interop.fhir.sources.documents import NOTES, RESULT_DOCUMENTS, SOAP_NOTES
from backend.apps.interop.fhir.sources.provenance import NOTE_ORIGINS, RESULT_ORIGINS, by_vital_sign
from backend.apps.interop.tests.fhir.makers_of_papers import (
    amendment,
    fed_result,
    result_with_document,
    signed_note,
    soap_of,
)
from backend.apps.interop.tests.fhir.test_papers import TAKEN, gone, is_told, told
from backend.apps.users.tests.factories import make_user
from tests.support.fhir_rows import GIVEN

pytestmark = pytest.mark.django_db


def test_a_draft_is_no_document() -> None:
    note = make_note()
    soap = make_soap(clinical_note=note)
    assert not any((is_told(NOTES, note), is_told(SOAP_NOTES, soap), is_told(NOTE_ORIGINS, note)))


def test_an_amendment_supersedes_its_note_and_changes_it() -> None:
    note = signed_note()
    before = told(NOTES, note)
    later = amendment(note)
    after = told(NOTES, note)
    assert (before["status"], after["status"]) == ("current", "superseded")
    assert after["meta"]["lastUpdated"] >= told(NOTES, later)["date"] > before["meta"]["lastUpdated"]
    assert told(NOTES, later)["relatesTo"] == [
        {"code": "replaces", "target": {"reference": f"DocumentReference/{note.pk}"}}
    ]
    assert told(SOAP_NOTES, soap_of(later))["relatesTo"][0]["targetReference"] == {
        "reference": f"Composition/{soap_of(note).pk}"
    }


def test_a_document_is_an_address_and_never_its_content() -> None:
    note, result = signed_note(), result_with_document()
    addresses = [(one["attachment"]["url"], one["attachment"]["contentType"]) for one in told(NOTES, note)["content"]]
    assert addresses == [
        (f"{GIVEN['base']}/Binary/{note.pk}", "text/plain; charset=utf-8"),
    ]
    (content,) = told(RESULT_DOCUMENTS, result)["content"]
    assert content["attachment"] == {"contentType": "application/pdf", "url": f"{GIVEN['base']}/Binary/{result.pk}"}


def test_a_result_that_is_no_longer_current_takes_its_document_and_origin_along() -> None:
    result = result_with_document()
    type(result)._base_manager.filter(pk=result.pk).update(is_current=False)
    assert gone(RESULT_DOCUMENTS) == gone(RESULT_ORIGINS) == [str(result.pk)]
    assert not is_told(RESULT_DOCUMENTS, result)


def test_a_soap_note_has_its_written_parts_and_its_vital_signs() -> None:
    soap, _ = soap_of(signed_note()), signed_note()
    sections = told(SOAP_NOTES, soap)["section"]
    assert [one["code"]["coding"][0]["code"] for one in sections] == ["61150-9", "61149-1", "8716-3"]
    displays = [one["code"]["coding"][0]["display"] for one in sections]
    assert displays == ["Subjective Narrative", "Objective Narrative", "Vital signs"]
    assert "BP &lt;120/80&gt; &amp; &quot;stable&quot;\n&lt;/div&gt;</p>" in sections[1]["text"]["div"]
    assert sections[2]["entry"] == [{"reference": f"Observation/{soap.pk}-{kind}"} for kind in TAKEN]


def test_nothing_refers_to_the_vital_signs_of_a_note_that_was_amended() -> None:
    note = signed_note()
    before = told(SOAP_NOTES, soap_of(note))
    amendment(note)
    after = told(SOAP_NOTES, soap_of(note))
    assert [one["title"] for one in after["section"]] == ["Subjective", "Objective"]
    assert after["meta"]["versionId"] > before["meta"]["versionId"]
    assert len(told(NOTE_ORIGINS, note)["target"]) == 2


def test_of_two_amendments_of_a_note_the_first_one_signed_is_superseded_as_well() -> None:
    note = signed_note()
    first = amendment(note)
    before = told(SOAP_NOTES, soap_of(first))
    last = amendment(note)
    after = told(SOAP_NOTES, soap_of(first))
    assert [told(NOTES, one)["status"] for one in (note, first, last)] == ["superseded", "superseded", "current"]
    assert len(after["section"]) == len(before["section"]) - 1
    assert after["meta"]["versionId"] > before["meta"]["versionId"]


def test_the_origin_of_a_vital_sign_is_found_by_it() -> None:
    note = signed_note()
    named = by_vital_sign(f"{soap_of(note).pk}-bp")
    assert named is not None
    assert ClinicalNote.objects.filter(named).get() == note
    assert by_vital_sign(f"{note.pk}-pulse") is None


def test_an_origin_names_the_laboratory_or_the_doctor_and_the_practice_that_hands_on() -> None:
    clinic = Clinic.objects.create(name="Elm Street Clinic")
    result, note, _ = fed_result(), signed_note(), signed_note()
    practice = {"reference": f"Organization/{clinic.pk}", "display": "Elm Street Clinic"}
    author, transmitter = told(RESULT_ORIGINS, result)["agent"]
    assert author["who"]["reference"] == f"Organization/{result.source_message.feed_id}"
    assert transmitter["who"] == practice
    origin = told(NOTE_ORIGINS, note)
    soap = soap_of(note)
    assert [one["reference"] for one in origin["target"]] == [
        f"DocumentReference/{note.pk}",
        f"Composition/{soap.pk}",
        *(f"Observation/{soap.pk}-{kind}" for kind in TAKEN),
    ]
    assert origin["agent"][0]["who"] == {"reference": f"Practitioner/{note.doctor_id}"}
    assert origin["agent"][0]["onBehalfOf"] == practice


def test_the_audit_log_tells_who_and_what_and_never_from_where() -> None:
    user = make_user()
    row = AuditLog.objects.create(
        action="partial_update", resource_type="patient", resource_id=str(user.pk), user=user, outcome="refused",
        ip_address="192.0.2.77", user_agent="Somebody's phone", detail={"fields": ["last_name"]},
    )  # fmt: skip
    event = told(AUDIT, row)
    assert (event["action"], event["outcome"], event["subtype"][0]["code"]) == ("U", "4", "patch")
    assert event["entity"][0]["what"] == {"reference": f"Patient/{user.pk}"}
    assert not any(word in str(event) for word in ("192.0.2.77", "phone", "last_name"))
    assert AUDIT.may(make_user(role="admin"), "list")
    assert not any(AUDIT.may(make_user(role=role), "list") for role in ("doctor", "nurse", "patient"))
