"""The office of the demo clinic: departments, staff, feeds, payers and what patients are covered by."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from backend.apps.employees.models import Department, Employee
from backend.apps.insurance.models import InsurancePlan, InsuranceProvider, PatientInsurance
from backend.apps.interop.models import PatientGroup, PatientGroupMember
from backend.apps.laboratory.models import LabFeed
from backend.apps.patients.models import Patient
from backend.apps.users.models import User
from backend.demo.billing import medicare_number
from backend.demo.people import CHUNK, Tell, chunks

PAYERS = (
    ("Granite Health", "GRN01", "hmo", "99001"),
    ("Harbor Mutual", "HRB02", "ppo", "99002"),
    ("Medicare", "MCR03", "medicare", ""),
)
HIRED_ON = date(2020, 1, 6)
COVERED_SINCE = date(2025, 1, 1)


def staff(logins: dict[str, User]) -> int:
    """Employ everybody who signs in but the patient, in one department each for care and for the office."""
    care, office = Department.objects.bulk_create(
        [Department(name="Care", code="CARE"), Department(name="Office", code="OFFICE")]
    )
    people = [
        Employee(
            user=login,
            department=office if role in {"admin", "receptionist"} else care,
            position=role.replace("_", " ").capitalize(),
            employee_id=f"DEMO{number:03d}",
            hire_date=HIRED_ON,
            salary=Decimal(60000),
        )
        for number, (role, login) in enumerate(sorted(logins.items()))
        if role != "patient"
    ]
    return len(Employee.objects.bulk_create(people))


def feeds() -> int:
    """Take messages from the demo laboratory, and from any other: the demo clinic is nowhere in production."""
    rows = [
        LabFeed(
            name="Demo laboratory",
            clia_number="22D0000001",
            sending_application="DEMOLAB",
            sending_facility="DEMO LABORATORY",
            assigning_authority="CARERELAY",
        ),
        LabFeed(name="Any other laboratory (demo only)", processing_ids="PTD"),
    ]
    return len(LabFeed.objects.bulk_create(rows))


def groups(patients: list[Patient]) -> int:
    """Keep one group that a study might ask for by a bulk export: every tenth patient, a thousand at most."""
    group = PatientGroup.objects.create(name="Blood pressure study", description="Every tenth patient of the clinic")
    chosen = patients[::10][:1000]
    PatientGroupMember.objects.bulk_create(PatientGroupMember(group=group, patient=patient) for patient in chosen)
    return 1


def coverages(patients: list[Patient], tell: Tell) -> int:
    """Cover four patients in five; return how many."""
    payers = InsuranceProvider.objects.bulk_create(
        InsuranceProvider(company_name=name, payer_id=payer, naic_code=naic) for name, payer, _, naic in PAYERS
    )
    plans = InsurancePlan.objects.bulk_create(
        InsurancePlan(provider=payer, plan_name=f"{name} Standard", plan_number=code, plan_type=kind)
        for payer, (name, code, kind, _) in zip(payers, PAYERS, strict=True)
    )
    rows = (
        PatientInsurance(
            patient=patient,
            insurance_plan=plans[number % len(plans)],
            policy_number=f"P{number:08d}",
            member_id=medicare_number(number)
            if plans[number % len(plans)].plan_type == "medicare"
            else f"M{number:09d}",
            effective_date=COVERED_SINCE,
        )
        for number, patient in enumerate(patients)
        if number % 5
    )
    count = 0
    for part in chunks(rows, CHUNK):
        count += len(PatientInsurance.objects.bulk_create(part))
        tell(len(part))
    return count
