"""Holds that a signed note stays as it is, whoever tries to change it, and that amendments are new notes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.clinical_notes import services
from backend.apps.clinical_notes.models import ClinicalNote, ProgressNote, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_progress, make_soap
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.sealed import columns
from backend.apps.core.sealed import written as sealed
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.users.tests.factories import make_user
from tests.support.races import wait_until_waited_for

FIELDS = {
    "chief_complaint": "other", "content": "other", "diagnosis": "other", "treatment_plan": "other",
    "follow_up_instructions": "other", "follow_up_date": "2031-01-01", "note_type": "progress",
    "attachments": [{"name": "a", "reference": "notes/a.pdf"}],
}  # fmt: skip


@pytest.mark.django_db
class TestSigning:
    def test_the_notes_doctor_signs_it(self) -> None:
        note = make_note()
        services.sign(note, by=note.doctor.user)
        stored = ClinicalNote.objects.get(pk=note.pk)
        assert (stored.is_signed, stored.signed_by) == (True, note.doctor.user)
        assert stored.signed_at <= timezone.now()

    @pytest.mark.parametrize("role", ["admin", "nurse", "doctor", "receptionist", "patient"])
    def test_nobody_else_signs_it(self, role: str) -> None:
        note = make_note()
        other = make_doctor().user if role == "doctor" else make_user(role)
        with pytest.raises(DomainError, match="Only the doctor of this note"):
            services.sign(note, by=other)
        assert not ClinicalNote.objects.get(pk=note.pk).is_signed

    def test_an_empty_note_is_not_signed_but_its_parts_count(self) -> None:
        note = make_note(content="  ")
        with pytest.raises(DomainError, match="empty"):
            services.sign(note, by=note.doctor.user)
        make_soap(clinical_note=note)
        assert services.sign(note, by=note.doctor.user).is_signed

    def test_a_note_is_signed_once(self) -> None:
        note = make_note(signed=True)
        with pytest.raises(DomainError, match="signed"):
            services.sign(note, by=note.doctor.user)

    def test_a_note_that_was_deleted_meanwhile_is_not_signed(self) -> None:
        note = make_note()
        ClinicalNote.objects.get(pk=note.pk).delete()
        with pytest.raises(Conflict):
            services.sign(note, by=note.doctor.user)

    def test_the_database_knows_no_signature_without_a_person_and_a_time(self) -> None:
        note = make_note()
        with pytest.raises(IntegrityError, match="signed_by_whom"):
            ClinicalNote.objects.filter(pk=note.pk).update(is_signed=True)


def stored(note: ClinicalNote, name: str, value: Any) -> dict[str, Any]:
    """Return what a raw update of this field takes."""
    names = {column.name for column in columns(ClinicalNote)}
    return sealed(ClinicalNote, note.pk, **{name: value}) if name in names else {name: value}


@pytest.mark.django_db
class TestFrozen:
    @pytest.mark.parametrize("name", sorted(FIELDS))
    def test_a_raw_update_of_any_field_of_a_signed_note_is_refused_by_the_database(self, name: str) -> None:
        note = make_note(signed=True)
        before = ClinicalNote.objects.filter(pk=note.pk).values().get()
        with pytest.raises(IntegrityError, match="signed note stays"), transaction.atomic():
            ClinicalNote.all_objects.filter(pk=note.pk).update(**stored(note, name, FIELDS[name]))
        assert ClinicalNote.objects.filter(pk=note.pk).values().get() == before

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE clinical_notes_clinicalnote SET content = 'x'",
            "UPDATE clinical_notes_clinicalnote SET is_signed = false, signed_at = NULL, signed_by_id = NULL",
            "UPDATE clinical_notes_clinicalnote SET is_deleted = true, deleted_at = now()",
            "DELETE FROM clinical_notes_clinicalnote",
            "UPDATE clinical_notes_soapnote SET plan = 'x'",
            "DELETE FROM clinical_notes_soapnote",
            "UPDATE clinical_notes_progressnote SET next_steps = 'x'",
            "DELETE FROM clinical_notes_progressnote",
        ],
    )
    def test_sql_behind_our_back_is_refused(self, sql: str) -> None:
        note = make_note()
        make_soap(clinical_note=note)
        make_progress(clinical_note=note)
        note.sign(note.doctor.user)
        with pytest.raises(IntegrityError, match="stays as it is"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)

    def test_python_refuses_to_save_or_delete_it_with_a_sentence(self) -> None:
        note = make_note(signed=True)
        note.content = "other"
        for act in (note.save, note.delete):
            with pytest.raises(DomainError, match="write an amendment"):
                act()
        with pytest.raises(DomainError, match="write an amendment"):
            services.rewrite(note, by=note.doctor.user, content="other")
        assert ClinicalNote.objects.get(pk=note.pk).content != "other"

    def test_a_stale_copy_of_a_draft_does_not_overwrite_a_note_signed_meanwhile(self) -> None:
        note = make_note()
        stale = ClinicalNote.objects.get(pk=note.pk)
        note.sign(note.doctor.user)
        stale.content = "other"
        with pytest.raises(DomainError, match="write an amendment"):
            stale.save()

    @pytest.mark.parametrize("make", [make_soap, make_progress])
    def test_its_parts_are_frozen_with_it(self, make: Callable[..., Any]) -> None:
        part = make()
        part.clinical_note.sign(part.clinical_note.doctor.user)
        for act in (part.save, part.delete):
            with pytest.raises(DomainError, match="write an amendment"):
                act()
        with pytest.raises(DomainError, match="write an amendment"):
            services.rewrite_part(part, by=part.clinical_note.doctor.user)

    @pytest.mark.parametrize("model", [SOAPNote, ProgressNote])
    def test_no_part_is_added_to_a_signed_note(self, model: Any) -> None:
        note = make_note(signed=True)
        with pytest.raises(DomainError, match="write an amendment"):
            services.write_part(model, by=note.doctor.user, clinical_note=note)
        with pytest.raises(IntegrityError, match="stays as it is"), transaction.atomic():
            model.objects.bulk_create([model(clinical_note=note)])

    def test_no_part_is_moved_into_a_signed_note(self) -> None:
        signed, part = make_note(signed=True), make_soap()
        with pytest.raises(IntegrityError, match="stays as it is"), transaction.atomic():
            SOAPNote.objects.filter(pk=part.pk).update(clinical_note=signed)


@pytest.mark.django_db(transaction=True)
def test_a_part_that_is_being_written_holds_up_the_signature_until_it_is_stored() -> None:
    part = make_soap()
    note, written, order = part.clinical_note, threading.Event(), []

    def sign() -> None:
        written.wait(timeout=10)
        ClinicalNote.objects.get(pk=note.pk).sign(note.doctor.user)
        order.append("signed")
        connection.close()

    signer = threading.Thread(target=sign)
    signer.start()
    with transaction.atomic():
        SOAPNote.objects.filter(pk=part.pk).update(**sealed(SOAPNote, part.pk, plan="rest"))
        written.set()
        wait_until_waited_for()
        order.append("stored")
    signer.join(timeout=10)
    assert order == ["stored", "signed"]
    assert SOAPNote.objects.get(pk=part.pk).plan == "rest"


@pytest.mark.django_db
class TestAmending:
    def test_an_amendment_is_a_new_draft_with_the_parts_of_the_old_note(self) -> None:
        note = make_note(diagnosis="bronchitis")
        make_soap(clinical_note=note, plan="rest", weight="70.5")
        note.sign(note.doctor.user)
        draft = services.amend(note, by=note.doctor.user)
        assert (draft.amends, draft.is_signed, draft.diagnosis) == (note, False, "bronchitis")
        assert SOAPNote.objects.get(clinical_note=draft).plan == "rest"
        services.rewrite(draft, by=note.doctor.user, diagnosis="pneumonia")
        services.sign(draft, by=note.doctor.user)
        assert ClinicalNote.objects.get(pk=note.pk).diagnosis == "bronchitis"
        assert [one.diagnosis for one in note.amendments.all()] == ["pneumonia"]

    def test_a_doctor_who_amends_another_doctors_note_signs_it_under_their_own_name(self) -> None:
        note, other = make_note(signed=True), make_doctor()
        assert services.amend(note, by=other.user).doctor == other

    def test_a_draft_is_not_amended(self) -> None:
        with pytest.raises(DomainError, match="draft"):
            services.amend(make_note(), by=None)

    def test_one_amendment_is_written_at_a_time(self) -> None:
        note = make_note(signed=True)
        draft = services.amend(note, by=note.doctor.user)
        with pytest.raises(Conflict, match="already writing"):
            services.amend(note, by=note.doctor.user)
        draft.delete()
        assert services.amend(note, by=note.doctor.user).pk
