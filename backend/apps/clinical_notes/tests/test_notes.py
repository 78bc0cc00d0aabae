"""Holds what may stand in a note: whose it is, vital signs in their units, attachments, templates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.clinical_notes import services
from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_soap, make_template
from backend.apps.clinical_notes.units import metric
from backend.apps.clinical_notes.validators import LIMITS, validate_attachments
from backend.apps.core.exceptions import DomainError
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user


@pytest.mark.django_db
class TestWriting:
    def test_a_doctor_writes_under_their_own_name(self) -> None:
        doctor, patient = make_doctor(), make_patient()
        assert services.write(by=doctor.user, patient=patient, content="x").doctor == doctor
        with pytest.raises(DomainError, match="of their own"):
            services.write(by=doctor.user, doctor=make_doctor(), patient=patient, content="x")

    def test_a_nurse_names_the_doctor_who_will_sign(self) -> None:
        nurse, doctor = make_user("nurse"), make_doctor()
        with pytest.raises(DomainError, match="Name the doctor"):
            services.write(by=nurse, patient=make_patient(), content="x")
        assert services.write(by=nurse, doctor=doctor, patient=make_patient(), content="x").doctor == doctor

    def test_a_doctor_login_without_a_doctor_on_file_writes_nothing(self) -> None:
        with pytest.raises(DomainError, match="belongs to no doctor"):
            services.write(by=make_user("doctor"), patient=make_patient(), content="x")

    def test_a_note_is_not_filed_under_another_patients_appointment(self) -> None:
        doctor, appointment = make_doctor(), make_appointment()
        with pytest.raises(ValidationError, match="another patient"):
            services.write(by=doctor.user, patient=make_patient(), appointment=appointment)
        assert services.write(by=doctor.user, patient=appointment.patient, appointment=appointment).pk

    def test_a_draft_is_changed_by_its_doctor_and_by_nurses_only(self) -> None:
        note = make_note()
        services.rewrite(note, by=make_user("nurse"), diagnosis="by the nurse")
        with pytest.raises(DomainError, match="Only the doctor of this"):
            services.rewrite(note, by=make_doctor().user, diagnosis="by another")
        assert ClinicalNote.objects.get(pk=note.pk).diagnosis == "by the nurse"

    def test_the_patient_of_a_note_never_changes(self) -> None:
        note = make_note()
        with pytest.raises(DomainError, match="cannot change"):
            services.rewrite(note, by=note.doctor.user, patient=make_patient())

    def test_a_part_stays_with_its_note(self) -> None:
        part, other = make_soap(), make_note()
        with pytest.raises(DomainError, match="cannot move"):
            services.rewrite_part(part, by=part.clinical_note.doctor.user, clinical_note=other)

    def test_deleting_a_draft_takes_its_parts_along(self) -> None:
        part = make_soap()
        part.clinical_note.delete()
        assert not SOAPNote.objects.filter(pk=part.pk).exists()
        assert SOAPNote.all_objects.get(pk=part.pk).is_deleted


@pytest.mark.django_db
class TestVitals:
    @pytest.mark.parametrize(
        ("weight", "height", "bmi"),
        [
            ("70", "175", "22.9"),
            ("3.5", "50", "14.0"),
            ("81.65", "165.1", "30.0"),  # 29.954...
            ("61.74", "168", "21.9"),  # 21.875 exactly: half up
            (None, "175", None),
            ("70", None, None),
            ("70", "0", None),
        ],
    )
    def test_bmi_is_weight_over_height_squared_to_one_decimal(
        self, weight: str | None, height: str | None, bmi: str | None
    ) -> None:
        note = SOAPNote(weight=weight and Decimal(weight), height=height and Decimal(height))
        assert note.bmi == (bmi and Decimal(bmi))

    def test_blood_pressure_reads_as_people_say_it(self) -> None:
        assert SOAPNote(blood_pressure_systolic=120, blood_pressure_diastolic=80).blood_pressure == "120/80"
        assert SOAPNote(blood_pressure_systolic=120).blood_pressure is None

    @pytest.mark.parametrize("name", sorted(LIMITS))
    def test_a_value_outside_its_limits_is_refused_by_python_and_by_the_database(self, name: str) -> None:
        least, most, sentence = LIMITS[name]
        pair = {"blood_pressure_systolic": 120, "blood_pressure_diastolic": 80} if name.startswith("blood") else {}
        note = make_note()
        for value in (least - Decimal("0.1"), most + 1):
            number = value if name in {"temperature", "weight", "height"} else int(value)
            with pytest.raises(ValidationError) as refusal:
                services.write_soap(by=None, clinical_note=note, **{**pair, name: number})
            assert sentence in refusal.value.message_dict[name]
        with pytest.raises(IntegrityError, match="soapnote_"):
            make_soap(clinical_note=note, **{**pair, name: int(most + 1)})

    @pytest.mark.parametrize(
        "vitals",
        [
            {"blood_pressure_systolic": 80, "blood_pressure_diastolic": 120},
            {"blood_pressure_systolic": 80, "blood_pressure_diastolic": 80},
            {"blood_pressure_systolic": 120},
            {"weight": Decimal(154), "height": Decimal(70)},  # pounds and inches
            {"weight": Decimal(70), "height": Decimal(70)},  # kilograms and inches
        ],
    )
    def test_values_that_do_not_fit_each_other_are_refused_twice(self, vitals: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            services.write_soap(by=None, clinical_note=make_note(), **vitals)
        with pytest.raises(IntegrityError, match=r"pressure_pair|bmi_possible"):
            make_soap(**vitals)

    def test_american_units_are_turned_into_the_ones_we_store(self) -> None:
        turned = metric({"temperature": "98.6", "weight": 150, "height": Decimal(70), "plan": "x"})
        assert turned == {
            "temperature": Decimal("37.0"), "weight": Decimal("68.04"), "height": Decimal("177.8"), "plan": "x",
        }  # fmt: skip

    @pytest.mark.parametrize("junk", [None, True, "abc", "1e999", "NaN", "٣", [], "9" * 400])
    def test_what_is_no_plain_number_is_left_for_the_field_to_refuse(self, junk: Any) -> None:
        assert metric({"weight": junk}) == {"weight": junk}


GOOD = {"name": "scan", "reference": "notes/2026/scan.pdf"}


class TestAttachments:
    def test_references_to_our_own_files_are_accepted(self) -> None:
        validate_attachments([])
        validate_attachments([GOOD, {**GOOD, "content_type": "application/pdf"}])

    @pytest.mark.parametrize(
        "value",
        [
            {}, "x", None, [1], [{}], [{"name": "a"}], [{**GOOD, "data": "x"}], [{**GOOD, "name": 1}],
            [{**GOOD, "name": ""}], [GOOD] * 21,
            *([{**GOOD, "reference": bad}] for bad in (
                "https://evil.example/x", "/etc/passwd", "../x", "a/../b", "a//b", "C:\\x", "a\\b", "a\nb", "file:x",
            )),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused(self, value: Any) -> None:
        with pytest.raises(ValidationError):
            validate_attachments(value)

    @pytest.mark.django_db
    def test_the_database_takes_a_list_only(self) -> None:
        with pytest.raises(IntegrityError, match="attachments_list"):
            make_note(attachments={})


@pytest.mark.django_db
class TestTemplates:
    def test_a_doctor_sees_their_own_templates_and_everybodys(self) -> None:
        mine, other = make_doctor(), make_doctor()
        own, shared, foreign = make_template(doctor=mine), make_template(), make_template(doctor=other)
        seen = set(ClinicalNoteTemplate.objects.all().visible_to(mine.user))
        assert seen == {own, shared}
        assert set(ClinicalNoteTemplate.objects.all().visible_to(make_user("nurse"))) == {own, shared, foreign}
        assert set(ClinicalNoteTemplate.objects.all().visible_to(make_user("admin"))) == {own, shared, foreign}

    def test_what_a_doctor_keeps_is_the_doctors_own(self) -> None:
        doctor = make_doctor()
        row = services.keep_template(by=doctor.user, name="Mine", template_content="x")
        assert row.doctor == doctor
        assert services.keep_template(by=make_user("admin"), name="Ours", template_content="x").doctor is None

    def test_a_doctor_does_not_change_what_is_everybodys(self) -> None:
        with pytest.raises(DomainError, match="Only the doctor"):
            services.change_template(make_template(), by=make_doctor().user, name="x")

    def test_a_name_is_used_once_per_owner(self) -> None:
        make_template(name="Cold")
        make_template(name="Cold", doctor=make_doctor())
        with pytest.raises(IntegrityError, match="name_once"):
            make_template(name="cold")
