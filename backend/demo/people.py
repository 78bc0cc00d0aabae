"""Logins, staff, doctors and patients of the demo clinic."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import Any, TypeVar

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.core.validators import luhn_ok
from backend.apps.doctors.models import Doctor, DoctorAvailability, DoctorSpecialization, Specialization
from backend.apps.patients import consents
from backend.apps.patients.models import BirthSex, ConsentMethod, Ethnicity, Gender, Patient
from backend.apps.users.models import User
from backend.demo import calendar, names

PASSWORD = (
    "demo-clinic-2026"  # nosemgrep: secret-in-code  # printed in the README; the seed refuses to run in production
)
DOMAIN = "demo.clinic"
CHUNK = 5000
Tell = Callable[[int], None]
Row = TypeVar("Row")


def clinic() -> Clinic:
    """Return the practice's profile, made on first call."""
    found = Clinic.objects.first()
    return found or Clinic.objects.create(
        name="Demo Clinic",
        npi_number=npi(0),
        tax_id="12-3456789",
        taxonomy_code="261QP2300X",
        clia_number="22D0000002",
        address_line1="1 Oak Street",
        city="Springfield",
        state="MA",
        postal_code="01103",
        phone="+14135550100",
        email=f"frontdesk@{DOMAIN}",
        time_zone="America/New_York",
    )


def logins() -> dict[str, User]:
    """Create one login per role; they share one password, hashed once."""
    password = make_password(PASSWORD)
    made = {
        role: User(
            email=f"{role}@{DOMAIN}",
            first_name=role.replace("_", " ").title(),
            last_name="Demo",
            role=role,
            is_verified=True,
            password=password,
        )
        for role in Role.values
    }
    User.objects.bulk_create(made.values())
    return made


def doctors(count: int, first: User) -> list[Doctor]:
    """Create `count` doctors with hours and a specialization each; the first is the demo login."""
    logins_ = [first, *(User(email=f"doctor{n}@{DOMAIN}", role=Role.DOCTOR, **_name(n)) for n in range(2, count + 1))]
    for login in logins_[1:]:
        login.set_unusable_password()
    User.objects.bulk_create(logins_[1:])
    made = [
        Doctor(
            user=login,
            license_number=f"MA{100000 + n}",
            npi_number=npi(n + 1),
            dea_number=dea(n),
            board_certified=n % 3 != 0,
            years_of_experience=3 + n % 30,
            consultation_fee=100 + 10 * (n % 8),
            languages=["en", "es"] if n % 2 else ["en"],
        )
        for n, login in enumerate(logins_)
    ]
    Doctor.objects.bulk_create(made)
    _hours_and_specialties(made)
    return made


def _hours_and_specialties(made: list[Doctor]) -> None:
    kinds = [Specialization(name=name, medical_code=code) for name, code in names.SPECIALTIES]
    Specialization.objects.bulk_create(kinds)
    DoctorSpecialization.objects.bulk_create(
        DoctorSpecialization(doctor=doctor, specialization=kinds[n % len(kinds)]) for n, doctor in enumerate(made)
    )
    DoctorAvailability.objects.bulk_create(
        DoctorAvailability(doctor=doctor, day_of_week=day, start_time=start, end_time=end)
        for doctor in made
        for day in range(5)
        for start, end in calendar.HOURS
    )


def patients(count: int, login: User, tell: Tell) -> list[Patient]:
    """Create `count` patients; the first is the demo login's own record."""
    made: list[Patient] = []
    for start in range(0, count, CHUNK):
        part = [patient(n) for n in range(start, min(start + CHUNK, count))]
        if start == 0:
            part[0].user, part[0].first_name, part[0].last_name = login, "Pat", "Demo"
        made += Patient.objects.bulk_create(part)
        consents.begin(part, method=ConsentMethod.IMPORT)
        tell(len(part))
    return made


def patient(n: int) -> Patient:
    """Return patient number `n`, the same for the same number; unsaved."""
    dice = random.Random(n)  # noqa: S311  # made-up data
    city, state, postal_code = dice.choice(names.CITIES)
    reachable = dice.random()
    now = timezone.now()
    return Patient(
        medical_record_number=f"DEMO{n + 1:07d}",
        **_name(n, dice),
        date_of_birth=date(2024, 12, 28) - timedelta(days=dice.randrange(1, 95 * 365)),
        gender=dice.choice([Gender.FEMALE, Gender.MALE]) if dice.random() < 0.97 else Gender.OTHER,
        phone=f"+1413555{n % 10000:04d}" if reachable < 0.95 else "",
        email=f"patient{n + 1}@{DOMAIN}" if reachable > 0.1 else "",
        address_line1=f"{dice.randrange(1, 400)} {dice.choice(names.STREETS)}",
        city=city,
        state=state,
        postal_code=postal_code,
        preferred_language="es" if dice.random() < 0.12 else "en",
        sms_consent=reachable < 0.85,
        sms_consent_at=now if reachable < 0.85 else None,
        email_consent=reachable > 0.2,
        email_consent_at=now if reachable > 0.2 else None,
        **_background(n),
    )


def _background(n: int) -> dict[str, Any]:
    """Return what patient number `n` said of origin and sex at birth, where they said anything."""
    dice = random.Random(f"background {n}")  # noqa: S311  # made-up data
    races = dice.choices(names.RACES, weights=names.RACE_SHARES)[0]
    return {
        "middle_name": dice.choice(names.FIRST) if dice.random() < 0.4 else "",
        "name_suffix": dice.choice(("Jr.", "III")) if dice.random() < 0.03 else "",
        "birth_sex": dice.choice(BirthSex.values[:2]) if dice.random() < 0.9 else "",
        "races": list(races),
        "ethnicity": dice.choices(Ethnicity.values, weights=(18, 70, 4, 8))[0] if races else "",
        "needs_interpreter": dice.random() < 0.05 if dice.random() < 0.8 else None,
    }


def _name(n: int, dice: random.Random | None = None) -> dict[str, str]:
    dice = dice or random.Random(n)  # noqa: S311  # made-up data
    return {"first_name": dice.choice(names.FIRST), "last_name": dice.choice(names.LAST)}


def npi(n: int) -> str:
    """Return the n-th made-up National Provider Identifier, check digit right."""
    body = f"1{23456780 + n:08d}"
    return next(body + digit for digit in "0123456789" if luhn_ok("80840" + body + digit))


def dea(n: int) -> str:
    """Return the n-th made-up DEA number, check digit right."""
    body = f"{100000 + n:06d}"
    digits = [int(digit) for digit in body]
    return f"BD{body}{(sum(digits[0::2]) + 2 * sum(digits[1::2])) % 10}"


def chunks(rows: Iterable[Row], size: int = CHUNK) -> Iterator[list[Row]]:
    """Yield `rows` in lists of `size`."""
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
