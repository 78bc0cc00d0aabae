"""A practice with ten thousands of claims to send; without it each measure of claims would make its own."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from backend.apps.core.bulk import copy_in
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.insurance import codes, submitting
from backend.apps.insurance.models import CodeSet, InsuranceClaim, InsurancePlan, PatientInsurance, TradingPartner
from backend.apps.insurance.models.code_sets import CodeSetKind
from backend.apps.insurance.tests import factories
from backend.apps.patients.models import Patient

DOCTORS, PAYERS, PATIENTS = 30, 6, 5000
DEPENDENTS = 0.4
AT_ONCE = 1000  # claims that are submitted together
DIAGNOSES = ("E11.9", "I10", "M54.50", "J06.9", "Z00.00", "F41.1", "R51.9", "N39.0", "E78.5", "K21.9")
PROCEDURES = ("99213", "99214", "85025", "80053", "93000", "36415", "99203", "90471")
UNKNOWN_DIAGNOSIS = "T99.9"  # of the shape of a code, and in none of the lists here
FAMILY = ("Doe", "Sample", "Tester", "Doe-Sample")
GIVEN = ("John", "Mary", "Jane", "Peter", "Alice", "Omar", "Li", "Ana")
CITIES = (("Albany", "NY", "12207"), ("Troy", "NY", "12180-1234"), ("Utica", "NY", "13501"))
PLANS = ("ppo", "hmo", "epo", "pos", "medicare", "medicaid")
TABLES = (
    "insurance_submission", "insurance_interchange", "insurance_insuranceclaim", "insurance_claimline",
    "insurance_patientinsurance", "insurance_insuranceplan", "insurance_insuranceprovider", "insurance_partnerpayer",
    "insurance_controlnumber", "patients_patient", "doctors_doctor", "insurance_code",
)  # fmt: skip
CODE_LISTS = {  # as many codes as the real lists have, the ones in use among them
    CodeSetKind.ICD10CM: (
        DIAGNOSES,
        "SELECT chr(65 + n / 3700) || lpad(mod(n, 3700)::text, 4, '0') FROM generate_series(0, 73999) n",
    ),
    CodeSetKind.CPT: (PROCEDURES, "SELECT (10000 + n)::text FROM generate_series(0, 9999) n"),
    CodeSetKind.MUE: (PROCEDURES, "SELECT (10000 + n)::text FROM generate_series(0, 11999) n"),
    CodeSetKind.PLACE: (("11",), "SELECT lpad(n::text, 2, '0') FROM generate_series(1, 99) n WHERE n <> 11"),
}
CODES = """
    INSERT INTO insurance_code (code_set_id, code, text, facts)
    SELECT %s, code, '', %s::jsonb FROM (SELECT unnest(%s::text[]) UNION {listed}) every (code)"""


class Practice(NamedTuple):
    """Who sends, who treats, and who is covered."""

    partner: TradingPartner
    doctors: Sequence[Doctor]
    coverages: Sequence[PatientInsurance]


def practice(*, patients: int = PATIENTS, lists: bool = True, doctors: int = DOCTORS) -> Practice:
    """Save all that claims need before the first one: lists: code lists as long as the real ones too."""
    factories.billing_entity(is_default=True, name="SAMPLE CLINIC LLC")
    partner = factories.partner(max_claims_per_file=100_000, ack_requested=True)
    plans = [_plan(partner, number) for number in range(PAYERS)]
    people = list(_people(patients))
    copy_in(people)
    coverages = [_coverage(person, number, plans) for number, person in enumerate(people)]
    copy_in(coverages)
    for kind, (used, listed) in CODE_LISTS.items() if lists else ():
        _code_list(kind, [code.replace(".", "") for code in used], listed)
    return Practice(partner, [factories.rendering_doctor() for _ in range(doctors)], coverages)


def _plan(partner: TradingPartner, number: int) -> InsurancePlan:
    address = {"address_line1": "1 Payer Way", "city": "Albany", "state": "NY", "postal_code": "122071234"}
    payer = factories.make_provider(company_name=f"Sample Health {number}", **(address if number % 2 else {}))
    factories.route(provider=payer, partner=partner)
    return factories.make_plan(provider=payer, plan_type=PLANS[number], timely_filing_days=365)


_serial = itertools.count(secrets.randbelow(10**6) * 10**6)


def _people(count: int) -> Iterator[Patient]:
    for number in range(count):
        city, state, postal_code = CITIES[number % len(CITIES)]
        yield Patient(
            medical_record_number=f"L{next(_serial):012}",
            first_name=GIVEN[number % len(GIVEN)],
            last_name=FAMILY[number % len(FAMILY)],
            date_of_birth=date(1940 + number % 70, 1 + number % 12, 1 + number % 28),
            gender=("female", "male")[number % 2],
            address_line1=f"{1 + number % 999} Oak Ave",
            address_line2="Apt 4" if number % 3 == 0 else "",
            city=city,
            state=state,
            postal_code=postal_code,
        )


def _coverage(person: Patient, number: int, plans: Sequence[InsurancePlan]) -> PatientInsurance:
    holder = {
        "policy_holder_relationship": ("child", "spouse")[number % 2],
        "policy_holder_name": f"Sam {person.last_name}",
        "policy_holder_first_name": "Sam",
        "policy_holder_last_name": person.last_name,
        "policy_holder_dob": date(1930 + number % 10, 5, 17),
        "policy_holder_sex": "M",
        **{
            f"policy_holder_{name}": getattr(person, name)
            for name in ("address_line1", "address_line2", "city", "state", "postal_code")
        },
    }
    return PatientInsurance(
        patient=person,
        insurance_plan=plans[number % len(plans)],
        policy_number=f"POL{number}",
        member_id=_member(number, plans[number % len(plans)]),
        group_number=f"G{number % 50}" if number % 3 else "",
        effective_date=date(2024, 1, 1),
        **(holder if number % 10 < 10 * DEPENDENTS else {}),
    )


def _member(number: int, plan: InsurancePlan) -> str:
    if plan.plan_type != "medicare":
        return f"W{number:09}"
    digits = f"{number:04}"
    return f"1EG{digits[-4]}TE{digits[-3]}MK{digits[-2:]}"  # of the shape of a Medicare number


def _code_list(kind: str, used: list[str], listed: str) -> None:
    made = _edition(kind)
    facts = '{"most_units": 9}' if kind == CodeSetKind.MUE else "{}"
    with connection.cursor() as cursor:
        cursor.execute(CODES.format(listed=listed), [made, facts, used])


def _edition(kind: str) -> Any:
    return CodeSet.objects.create(kind=kind, version="load", valid_from=date(2020, 1, 1), sha256="0" * 64).pk


def claims(
    given: Practice, count: int, *, days_ago: int = 1, seed: int = 1, numbers: Sequence[str] = ()
) -> list[InsuranceClaim]:
    """Save drafts of about 23 segments, 1 to 4 lines each, of the day `days_ago` and those before it.

    numbers: their CLM01s, where they were in line before.
    """
    dice, today = random.Random(seed), Clinic.today()
    rows = [
        _claim(dice, given, place, today - timedelta(days=days_ago + place // len(given.coverages)))
        for place in range(count)
    ]
    for row, number in zip(rows, numbers, strict=False):
        row.control_number = number
    copy_in(rows)
    return rows


def _claim(dice: random.Random, given: Practice, place: int, day: date) -> InsuranceClaim:
    procedures = dice.sample(PROCEDURES, dice.choice((1, 1, 2, 2, 3, 4)))
    lines = [
        factories.line(
            f"{dice.randint(25, 400)}.{dice.randint(0, 99):02}",
            code=code,
            units=dice.choice((1, 1, 2)),
            modifiers=dice.choice(([], [], ["25"], ["25", "59"])),
            diagnosis_pointers=dice.choice(([1], [1, 2])),
        )
        for code in procedures
    ]
    return InsuranceClaim(
        patient_insurance=given.coverages[place % len(given.coverages)],
        claim_number=f"L{next(_serial):012}",
        rendering_doctor=given.doctors[place % len(given.doctors)],
        service_date=day,
        diagnosis_codes=dice.sample(DIAGNOSES, dice.randint(2, 6)),
        procedure_codes=lines,
        billed_amount=Decimal(codes.total(lines)),
    )


def queue(rows: Sequence[InsuranceClaim]) -> None:
    """Submit claims as the desk does."""
    for start in range(0, len(rows), AT_ONCE):
        told = submitting.submit_each(rows[start : start + AT_ONCE], by=None)
        assert all(one.outcome == "queued" for one in told), told[0]


def vacuum() -> None:
    """Do what autovacuum does once a minute: PostgreSQL plans by the sizes it finds then."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")


def clear() -> None:
    """Empty what a practice filled; who works there stays."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE insurance_submission, insurance_interchange, insurance_insuranceclaim, insurance_claimline, "
            "insurance_patientinsurance, insurance_insuranceplan, insurance_insuranceprovider, insurance_partnerpayer, "
            "insurance_controlnumber, insurance_tradingpartner, insurance_billingentity, insurance_codeset, "
            "insurance_code, patients_patient CASCADE"
        )
