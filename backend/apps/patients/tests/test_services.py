"""Proves registering, correcting and finding patients on the real database."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.patients import services
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

PERSON = {"first_name": "Ada", "last_name": "Okafor", "date_of_birth": date(1980, 5, 17), "gender": "female"}


@pytest.mark.django_db
class TestRegister:
    def test_record_numbers_come_one_after_the_other(self) -> None:
        first = services.register(by=None, **PERSON)
        second = services.register(by=None, **{**PERSON, "first_name": "Eve"})
        assert first.medical_record_number.startswith("MRN")
        assert int(second.medical_record_number[3:]) == int(first.medical_record_number[3:]) + 1

    def test_a_number_somebody_wrote_by_hand_is_passed_over(self) -> None:
        latest = int(services.next_record_number()[3:])
        make_patient(medical_record_number=f"MRN{latest + 1:07d}")
        assert services.next_record_number() == f"MRN{latest + 2:07d}"

    def test_a_number_that_is_supplied_is_kept_in_capitals(self) -> None:
        assert services.register(by=None, medical_record_number="ab-7", **PERSON).medical_record_number == "AB-7"

    @pytest.mark.parametrize("names", [("ADA", "okafor"), ("ada", "OKAFOR")])
    def test_the_same_names_and_birthday_are_refused_unless_confirmed(self, names: tuple[str, str]) -> None:
        make_patient(**PERSON)
        again = {**PERSON, "first_name": names[0], "last_name": names[1]}
        with pytest.raises(services.PossibleDuplicate) as refusal:
            services.register(by=None, **again)
        assert "Okafor" not in str(refusal.value)
        assert services.register(by=None, confirm_duplicate=True, **again).pk

    @pytest.mark.parametrize("other", [{"first_name": "Eve"}, {"date_of_birth": date(1980, 5, 18)}])
    def test_somebody_else_is_no_duplicate(self, other: dict[str, Any]) -> None:
        make_patient(**PERSON)
        assert services.register(by=None, **{**PERSON, **other}).pk

    def test_a_deleted_patient_is_no_duplicate(self) -> None:
        make_patient(**PERSON).delete()
        assert services.register(by=None, **PERSON).pk

    def test_a_consent_gets_its_moment(self) -> None:
        before = timezone.now()
        patient = services.register(by=None, sms_consent=True, **PERSON)
        assert before <= patient.sms_consent_at <= timezone.now()
        assert patient.email_consent_at is None

    def test_a_wrong_field_is_named(self) -> None:
        with pytest.raises(ValidationError) as refusal:
            services.register(by=None, **{**PERSON, "phone": "12"})
        assert list(refusal.value.message_dict) == ["phone"]


@pytest.mark.django_db
class TestCorrect:
    def test_a_consent_taken_back_moves_its_moment_and_one_left_alone_does_not(self) -> None:
        long_ago = timezone.now() - timedelta(days=100)
        patient = make_patient(sms_consent=True, sms_consent_at=long_ago, email_consent=True, email_consent_at=long_ago)
        services.correct(patient, by=None, sms_consent=False, email_consent=True)
        patient.refresh_from_db()
        assert patient.sms_consent is False
        assert patient.sms_consent_at > long_ago
        assert patient.email_consent_at == long_ago

    def test_becoming_somebody_who_is_on_file_is_refused(self) -> None:
        make_patient(**PERSON)
        patient = make_patient(**{**PERSON, "first_name": "Eve"})
        with pytest.raises(services.PossibleDuplicate):
            services.correct(patient, by=None, first_name="Ada")
        assert services.correct(patient, by=None, first_name="Ada", confirm_duplicate=True).first_name == "Ada"

    def test_a_confirmed_duplicate_can_be_changed_without_confirming_again(self) -> None:
        make_patient(**PERSON)
        twin = make_patient(**PERSON)
        assert services.correct(twin, by=None, city="Troy").city == "Troy"

    def test_only_an_administrator_changes_a_record_number(self) -> None:
        patient = make_patient(medical_record_number="OLD-1")
        with pytest.raises(DomainError, match="administrator"):
            services.correct(patient, by=make_user(role="receptionist"), medical_record_number="NEW-1")
        services.correct(patient, by=make_user(role="admin"), medical_record_number="NEW-1")
        patient.refresh_from_db()
        assert patient.medical_record_number == "NEW-1"


@pytest.mark.django_db(transaction=True)
def test_two_desks_that_register_one_person_at_once_make_one_patient() -> None:
    gate, outcomes = threading.Barrier(4), []

    def desk() -> None:
        gate.wait()
        try:
            services.register(by=None, **PERSON)
            outcomes.append("made")
        except services.PossibleDuplicate:
            outcomes.append("refused")
        finally:
            connections.close_all()

    desks = [threading.Thread(target=desk) for _ in range(4)]
    for thread in desks:
        thread.start()
    for thread in desks:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert Patient.objects.count() == 1


@pytest.mark.django_db
class TestSearch:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("oka", {"A"}),
            ("OKAFOR, ada", {"A"}),
            ("ada", {"A", "B"}),
            ("ada lin", {"B"}),
            ("afor", set()),
            ("mrn77", {"B"}),
            ("1980-05-17", {"A"}),
            ("5/17/1980", {"A"}),
            ("ada 1991-01-02", {"B"}),
            ("+14155550111", {"A"}),
            ("ADA.O@example.ORG", {"A"}),
            ("ada.o@ex", set()),
            ("13/45/1980", set()),
            ("100%", set()),
            ("a_a", set()),
            ("", {"A", "B"}),
        ],
    )
    def test_every_word_must_fit_the_beginning_of_something(self, text: str, found: set[str]) -> None:
        people = {
            "A": make_patient(medical_record_number="MRN66", phone="+14155550111", email="ada.o@example.org"),
            "B": make_patient(
                medical_record_number="MRN77",
                last_name="Lindt",
                date_of_birth=date(1991, 1, 2),
                phone="",
                email="ada.l@example.org",
            ),
        }
        rows = set(services.search(Patient.objects.all(), text))
        assert rows == {people[name] for name in found}

    @pytest.mark.parametrize("text", ["Name77", "MRN9000077", "+14155500077", "p77@", "1950-03-19", "Name7 First3"])
    def test_no_search_reads_the_whole_table(self, text: str) -> None:
        Patient.objects.bulk_create(
            Patient(
                medical_record_number=f"MRN9{i:06d}",
                first_name=f"First{i}",
                last_name=f"Name{i}",
                date_of_birth=date(1950, 1, 1) + timedelta(days=i),
                phone=f"+14155{500000 + i}",
                email=f"p{i}@example.org",
            )
            for i in range(5000)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE patients_patient")
        rows = services.by_name(services.search(Patient.objects.all(), text))[:50]
        plan = rows.explain()
        assert "Seq Scan" not in plan
        assert "patient_by_name" not in plan
