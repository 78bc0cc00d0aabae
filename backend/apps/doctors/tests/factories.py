"""Makes doctors, their credentials and hours for tests; without it each test would invent an NPI."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.core.validators import luhn_ok
from backend.apps.doctors.models import (
    Doctor,
    DoctorAvailability,
    DoctorCredential,
    DoctorSpecialization,
    Specialization,
)
from backend.apps.users.tests.factories import make_user

EVERY_DAY = range(7)
VERIFIED = {"is_verified": True, "verified_at": datetime(2020, 1, 2, tzinfo=UTC)}  # of a credential
_numbers = itertools.count(secrets.randbelow(10**6))  # of fifty drawn numbers of six digits two are the same at times


def make_npi() -> str:
    """Return another NPI whose check digit is right."""
    first_nine = f"1{next(_numbers):08d}"
    return next(first_nine + digit for digit in "0123456789" if luhn_ok(f"80840{first_nine}{digit}"))


def make_dea(letters: str = "BS") -> str:
    """Return another DEA number whose check digit is right."""
    six = f"{next(_numbers) % 10**6:06d}"
    digits = [int(digit) for digit in six]
    return f"{letters}{six}{(sum(digits[::2]) + 2 * sum(digits[1::2])) % 10}"


def make_specialization(**over: Any) -> Specialization:
    return Specialization.objects.create(**{"name": f"Internal medicine {secrets.token_hex(4)}", **over})


def make_doctor(**over: Any) -> Doctor:
    """Save a doctor with a login; `specializations` is a list, the primary one first.

    `licensed=False` leaves out the state licence and the DEA registration, both verified and without an end, of every
    other doctor.
    """
    specializations, licensed = over.pop("specializations", []), over.pop("licensed", True)
    over.setdefault("user", None)
    user = over.pop("user") or make_user(role="doctor", first_name="Grace", last_name="Stone")
    fields = {
        "license_number": f"NY-{secrets.token_hex(5)}",
        "npi_number": make_npi(),
        "dea_number": make_dea(),
        "years_of_experience": 12,
        "languages": ["en"],
    }
    doctor = Doctor.objects.create(user=user, **{**fields, **over})
    for position, specialization in enumerate(specializations):
        DoctorSpecialization.objects.create(doctor=doctor, specialization=specialization, position=position)
    if licensed:
        license_doctor(doctor)
    return doctor


def license_doctor(doctor: Doctor, **over: Any) -> list[DoctorCredential]:
    """Save a licence of the clinic's state and a DEA registration, verified, in one statement, the licence first."""
    number, state = doctor.license_number, Clinic.current().state or "NY"
    fields = {"doctor": doctor, "issuing_organization": "Issuer", "issue_date": date(2000, 1, 1), "number": number}
    return DoctorCredential.objects.bulk_create(
        [
            DoctorCredential(**{**fields, **VERIFIED, "credential_type": "state_license", "state": state, **over}),
            DoctorCredential(
                **{**fields, **VERIFIED, "credential_type": "dea", "number": doctor.dea_number or number, **over}
            ),
        ]
    )


def make_credential(**over: Any) -> DoctorCredential:
    fields = {
        "credential_type": "state_license",
        "issuing_organization": "State board of medicine",
        "number": secrets.token_hex(5),
        "state": "NY",
        "issue_date": date(2020, 1, 1),
        "expiry_date": Clinic.today() + timedelta(days=400),
    }
    over.setdefault("doctor", None)
    doctor = over.pop("doctor") or make_doctor(licensed=False)
    return DoctorCredential.objects.create(doctor=doctor, **{**fields, **over})


def make_availability(**over: Any) -> DoctorAvailability:
    """Save one window; Monday 9 to 17 unless told otherwise."""
    over.setdefault("doctor", None)
    doctor = over.pop("doctor") or make_doctor()
    fields = {"day_of_week": 0, "start_time": time(9), "end_time": time(17)}
    return DoctorAvailability.objects.create(doctor=doctor, **{**fields, **over})


def make_always_available(doctor: Doctor) -> Doctor:
    """Let the doctor see patients at any time of any day."""
    for day in EVERY_DAY:
        make_availability(doctor=doctor, day_of_week=day, start_time=time(0), end_time=time(23, 59))
    return doctor
