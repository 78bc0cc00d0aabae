"""Exports Observations in the plain way, to be compared with: a model is made, checked and dumped for each row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, BinaryIO

from django.conf import settings
from django.db import connection
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation

SQL = """
    SELECT t.result_key, t.version, t.updated_at, t.lab_order_id, t.status, k.test_code, k.test_name, o.patient_id,
           o.feed_id, t.result_date, t.reported_at, t.numeric_value, t.unit, t.abnormal_flag, t.reference_range
    FROM laboratory_labresult AS t JOIN laboratory_laborder AS o ON o.id = t.lab_order_id
    JOIN laboratory_labtest AS k ON k.id = t.lab_test_id
    WHERE t.is_current AND NOT t.is_deleted"""
BATCH = 2000
PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
UCUM = "http://unitsofmeasure.org"
FLAGS = {"normal": ("N", "Normal"), "high": ("H", "High"), "low": ("L", "Low")}


def export(file: BinaryIO, count: int) -> int:
    """Write `count` Observations as NDJSON; return how many were there."""
    written = 0
    with connection.cursor() as plain:
        plain.execute("BEGIN")
        with connection.connection.cursor(name="plain_fhir") as cursor:
            cursor.execute(f"{SQL} ORDER BY t.id LIMIT {int(count)}")
            while rows := cursor.fetchmany(BATCH):
                for row in rows:
                    file.write(Observation.model_validate(observation(row)).model_dump_json().encode() + b"\n")
                written += len(rows)
        plain.execute("COMMIT")
    return written


def bundle(patient: Any, count: int) -> str:
    """Return the Bundle of a search for a patient's results, made of models."""
    with connection.cursor() as cursor:
        cursor.execute(f"{SQL} AND o.patient_id = %s ORDER BY t.id LIMIT %s", [patient, count])
        rows = cursor.fetchall()
    base = settings.PUBLIC_BASE_URL + "/fhir/R4"
    entries = [
        {"fullUrl": f"{base}/Observation/{row[0]}", "resource": observation(row), "search": {"mode": "match"}}
        for row in rows
    ]
    told = {"resourceType": "Bundle", "type": "searchset", "total": len(rows), "entry": entries}
    return str(Bundle.model_validate(told).model_dump_json())


def one(key: str) -> str:
    """Return one Observation, made of a model."""
    with connection.cursor() as cursor:
        cursor.execute(f"{SQL} AND t.result_key = %s", [key])
        return str(Observation.model_validate(observation(cursor.fetchone())).model_dump_json())


def observation(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a row of SQL as a dict, with what the product says of such a row."""
    key, version, updated, order, status, code, name, patient, feed, taken, reported, value, unit, flag, span = row
    low, _, high = span.partition("-")
    return {
        "resourceType": "Observation",
        "id": key,
        "meta": {"versionId": str(version), "lastUpdated": moment(updated), "profile": [PROFILE]},
        "basedOn": [{"reference": f"ServiceRequest/{order}"}],
        "status": status,
        "category": [{"coding": [{"system": CATEGORY, "code": "laboratory", "display": "Laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": name},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": moment(taken),
        "issued": moment(reported),
        "performer": [{"reference": f"Organization/{feed}"}],
        "valueQuantity": {"value": value.normalize(), "unit": unit, "system": UCUM, "code": unit},
        "interpretation": [
            {"coding": [dict(zip(("code", "display"), FLAGS[flag], strict=True), system=INTERPRETATION)]}
        ],
        "referenceRange": [{"low": limit(low, unit), "high": limit(high, unit), "text": span}],
    }


def limit(text: str, unit: str) -> dict[str, Any]:
    return {"value": Decimal(text), "unit": unit, "system": UCUM, "code": unit}


def moment(at: Any) -> str:
    return str(at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
