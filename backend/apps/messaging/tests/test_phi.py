"""Holds that no word gets into a text that would tell why somebody is a patient, and that plain words still do."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.appointments.models import AppointmentType
from backend.apps.doctors.tests.factories import make_doctor, make_specialization
from backend.apps.messaging import phi
from backend.apps.users.tests.factories import make_user

TOLD = (
    "annual physical", "blood work", "lab test", "lab tests", "surgeon", "OB-GYN", "obgyn", "ob/gyn", "flu shot",
    "pap smear", "dentist", "immunotherapy", "Inmunoterapia", "sonogram", "EKG", "ECG", "memory clinic",
    "prueba de sangre", "papanicolau", "cirujano", "doctor haversham", "DOCTOR HAVERSHAM", "dr. haversham",
)  # fmt: skip


@pytest.mark.parametrize("kind", AppointmentType.values)
def test_r42_every_type_of_visit_is_denied(kind: str) -> None:
    assert phi.findings(f"Your {kind.replace('_', ' ')} is on Monday.")
    assert phi.findings(f"YOUR {kind.replace('_', '-').upper()}!")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("your chemotherapy visit", "chemotherapy"),
        ("su cita de Quimioterapia", "Quimioterapia"),
        ("the ONCOLOGY wing", "ONCOLOGY"),
        ("cita de oncología", "oncología"),
        ("HIV clinic", "HIV"),
        ("prueba de VIH", "VIH"),
        ("psychiatry", "psychiatry"),
        ("Salud mental", "Salud mental"),
        ("your follow up", "follow up"),
        ("follow-up", "follow-up"),
        ("seguimiento", "seguimiento"),
        ("an x-ray", "x-ray"),
        ("your cancer care", "cancer"),
        ("cáncer", "cáncer"),
        ("onco\u00adlogy", "oncology"),  # a soft hyphen nobody sees
        ("on\u200bcology", "oncology"),  # a letter without width
        ("\uff28\uff29\uff36", "HIV"),  # letters of full width
        ("your date of birth", "date of birth"),
        ("DOB", "DOB"),
        ("Fecha de nacimiento", "Fecha de nacimiento"),
        ("MRN 12", "MRN"),
        ("078-05-1120", "078-05-1120"),
        ("with Dr. Haversham", "Dr. Haversham"),
        ("con la Dra. Núñez", "Dra. Núñez"),
        ("https://bit.ly/3xY", "bit.ly"),
        ("see TinyURL.com/abc", "TinyURL.com"),
        ("a discount for you", "discount"),
        ("please pay your balance", "pay"),
        ("su factura", "factura"),
        ("your psych visit", "psych"),
        ("with dr. de la Cruz", "dr. de"),
        ("doctora Núñez", "doctora Núñez"),
        *((word, word) for word in TOLD),
    ],
)
def test_r42_a_denied_word_is_found_whatever_its_dress(text: str, word: str) -> None:
    assert word in {found.word for found in phi.findings(text)}
    assert all(found.why for found in phi.findings(text))


@pytest.mark.parametrize(
    "text",
    [
        "Please confirm or cancel in time: we can give the time to others.",
        "Bring a list of questions and a photo.",
        "Traiga sus preguntas. Estacionamiento en la calle Olmo.",
        "Write to us at care@elmclinic.com or see https://elmclinic.com/parking",
        "Our doors open at 8. Drinks are at the desk. Dress warmly.",
        "Cancelar no cuesta nada.",
        "Your doctor will wait. Ask your doctor, or the doctor's desk. El doctor le espera.",
    ],
)
def test_words_that_tell_nothing_are_let_through(text: str) -> None:
    assert phi.findings(text) == []


@pytest.mark.django_db
def test_r42_names_of_our_doctors_and_specialties_are_found_in_two_queries(django_assert_num_queries: Any) -> None:
    for last_name in ("Haversham", "de la Cruz", "Open", ""):
        make_doctor(user=make_user("doctor", first_name="Gregory", last_name=last_name))
    make_specialization(name="Travel Advice")
    with django_assert_num_queries(2):
        found = phi.on_file("Haversham and de la Cruz are open; travel advice too.")
    assert {one.word for one in found} == {"Haversham", "de la Cruz", "Travel Advice"}
    assert phi.on_file("We open at nine. Havershams are away.") == []
