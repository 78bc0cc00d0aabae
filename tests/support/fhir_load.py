"""A clinic with hundreds of thousands of laboratory results; without it each measure of FHIR would make its own."""

from __future__ import annotations

from typing import Any

from django.db import connection

from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory.models import LabOrder, LabResult
from backend.apps.laboratory.tests.factories import make_lab_feed, make_lab_order, make_lab_result, make_lab_test
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient

PATIENTS, PER_ORDER = 10_000, 10
TESTS = ("2823-3", "2951-2", "2345-7", "3094-0", "2160-0", "17861-6", "718-7", "4544-3", "6690-2", "777-3")  # LOINC
TABLES = ("laboratory_labresult", "laboratory_laborder", "laboratory_labtest", "laboratory_labfeed", "patients_patient")


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def results(count: int, *, patients: int = PATIENTS) -> None:
    """Replace all results by `count` final ones of ten tests, ten to an order, of as many patients."""
    clear()
    tests = [make_lab_test(test_code=code, code_system="loinc", test_name=f"Test {code}") for code in TESTS]
    feed = make_lab_feed()
    order = make_lab_order(patient=make_patient(), doctor=make_doctor(), tests=[], feed=feed, status="completed")
    result = make_lab_result(lab_order=order, lab_test=tests[0], code_system_as_sent="LN", code_text_as_sent="Sodium")
    _multiply(Patient, order.patient_id, patients - 1, {"medical_record_number": "'L' || n", "user_id": "NULL"})
    _multiply(
        LabOrder,
        order.pk,
        count // PER_ORDER - 1,
        {"order_number": "'LX' || n", "patient_id": _one_of("patients_patient", "id", "n")},
    )
    changes = {
        "lab_order_id": _one_of("laboratory_laborder", "id", "n / 10"),
        "lab_test_id": _one_of("laboratory_labtest", "id", "n"),
        "code_as_sent": _one_of("laboratory_labtest", "test_code", "n"),
        "numeric_value": "(100 + n %% 900)::numeric / 10",
        "result_value": "((100 + n %% 900)::numeric / 10)::numeric(6, 1)::text",
        "result_key": "encode(sha256(('k' || n)::bytea), 'hex')",
        "digest": "encode(sha256(('d' || n)::bytea), 'hex')",
    }
    _multiply(LabResult, result.pk, count - 1, changes)
    settle()


def settle() -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"VACUUM (FREEZE, ANALYZE) {table}")
        cursor.execute("CHECKPOINT")


def _one_of(table: str, column: str, number: str) -> str:
    """Return SQL for this column of one of the table's rows, by turns; the list never comes into our own memory."""
    every = f"(SELECT array_agg({column} ORDER BY id) FROM {table})"  # noqa: S608  # our own names
    return f"({every})[1 + {number} %% (SELECT count(*)::int FROM {table})]"  # noqa: S608  # our own names


def _multiply(model: Any, key: Any, times: int, changes: dict[str, str]) -> None:
    """Copy one row `times` times, with new keys and what SQL over n = 1, 2, ... says of some columns."""
    columns = [field.column for field in model._meta.concrete_fields]
    told = {"id": "uuidv7()", **changes}
    picked = ", ".join(told.get(column, f"t.{column}") for column in columns)
    table = model._meta.db_table
    sql = f"""INSERT INTO {table} ({", ".join(columns)})
        SELECT {picked} FROM {table} AS t, generate_series(1, %s) AS n WHERE t.id = %s"""  # noqa: S608  # our own names
    with connection.cursor() as cursor:
        cursor.execute(sql, [times, key])
