"""What entitles the people of the demo clinic to work, some of it about to lapse; else its calendar would be empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.employees.models import CredentialType, Employee, EmployeeCredential, VerificationMethod

ISSUED_ON = date(2020, 3, 2)
FAR = 500  # days; what a doctor works by does not lapse in a demo
AHEAD = (75, 45, 21, 12, 6, 1, 0, -9, 200, 320)  # days to the expiry of what may lapse: one at each tier, some far off
STATE = "MA"  # where the clinic's profile names none
KINDS = (
    (CredentialType.BOARD_CERTIFICATION, "American Board of Internal Medicine"),
    (CredentialType.MALPRACTICE, "Harbor Mutual Casualty"),
    (CredentialType.ACLS, "American Heart Association"),
)
STAFF_KINDS = (
    (CredentialType.BLS, "American Heart Association"),
    (CredentialType.HIPAA_TRAINING, "Demo Clinic"),
)


def create(doctors: Sequence[Doctor]) -> int:
    """Save the credentials of all doctors and of the staff; return how many."""
    today, state = Clinic.today(), Clinic.current().state or STATE
    ends = [today + timedelta(FAR + 3 * n) for n in range(len(doctors))]
    entitling = [row for doctor, end in zip(doctors, ends, strict=True) for row in _entitling(doctor, state, end)]
    lapsing = [_lapsing(doctor, n, today) for n, doctor in enumerate(doctors)]
    staff = list(_of_staff(today))
    DoctorCredential.objects.bulk_create(entitling + lapsing)
    EmployeeCredential.objects.bulk_create(staff)
    return len(entitling) + len(lapsing) + len(staff)


def _entitling(doctor: Doctor, state: str, until: date) -> Iterator[DoctorCredential]:
    """Yield what no doctor is booked or prescribes without, checked by a reviewer."""
    checked = {"is_verified": True, "verified_at": timezone.now(), "verification_method": VerificationMethod.ISSUER}
    yield DoctorCredential(
        doctor=doctor,
        credential_type=CredentialType.STATE_LICENSE,
        issuing_organization="Board of Registration in Medicine",
        number=doctor.license_number,
        state=state,
        issue_date=ISSUED_ON,
        expiry_date=until,
        **checked,
    )
    yield DoctorCredential(
        doctor=doctor,
        credential_type=CredentialType.DEA,
        issuing_organization="Drug Enforcement Administration",
        number=doctor.dea_number,
        issue_date=ISSUED_ON,
        expiry_date=until + timedelta(days=30),
        **checked,
    )


def _lapsing(doctor: Doctor, n: int, today: date) -> DoctorCredential:
    kind, issuer = KINDS[n % len(KINDS)]
    return DoctorCredential(
        doctor=doctor,
        credential_type=kind,
        issuing_organization=issuer,
        number=f"DC{200000 + n}",
        issue_date=ISSUED_ON,
        expiry_date=_expiry(n, today),
    )


def _of_staff(today: date) -> Iterator[EmployeeCredential]:
    employees = Employee.objects.exclude(user__role=Role.DOCTOR).order_by("employee_id")
    for n, employee in enumerate(employees):
        for place, (kind, issuer) in enumerate(STAFF_KINDS):
            yield EmployeeCredential(
                employee=employee,
                credential_type=kind,
                issuing_organization=issuer,
                number=f"EC{300000 + 10 * n + place}",
                issue_date=ISSUED_ON,
                expiry_date=_expiry(3 + 2 * n + place, today),
            )


def _expiry(n: int, today: date) -> date:
    return today + timedelta(days=AHEAD[n % len(AHEAD)] + 7 * (n // len(AHEAD) % 3))
