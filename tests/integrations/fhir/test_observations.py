"""Proves what an Observation says of codes, ranges and values that laboratories write in their own ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.fhir.resources.observation import BETWEEN, CODE_COLUMNS, OBSERVATION, digits, limits, named
from integrations.fhir.resources.specimen import taken
from integrations.fhir.resources.vital_signs import VITAL_SIGN, VITAL_SIGNS
from tests.support.fhir_rows import GIVEN

WRITTEN = {"id": "a" * 64, "version": "1", "updated": "2026-03-02T12:00:00.000Z", "patient": "p"}


def observation(**columns: str) -> dict[str, Any]:
    codes = BETWEEN.join(columns.get(name, "") for name in CODE_COLUMNS)
    row = {**WRITTEN, "order": "o", "status": "final", "codes": codes, **columns}
    told: dict[str, Any] = json.loads(OBSERVATION.line(GIVEN)([row.get(name) for name in OBSERVATION.columns]))
    return told


def test_a_loinc_code_stands_beside_the_code_of_the_laboratory() -> None:
    told = observation(
        test="2823-3",
        test_system="loinc",
        test_name="Potassium",
        code="2823-3",
        code_system="LN",
        other_code="K  plus",
        other_text="Kalium",
        other_system="L",
        feed="f",
    )
    assert told["code"] == {
        "coding": [
            {"system": "http://loinc.org", "code": "2823-3"},
            {"system": f"{GIVEN['base']}/CodeSystem/laboratory-f", "code": "K plus", "display": "Kalium"},
        ],
        "text": "Potassium",
    }


def test_a_code_is_loinc_only_where_its_system_says_so_and_its_form_is_right() -> None:
    assert named(None, None, None, "2823-3", "Potassium", "ln")[0] == "2823-3"
    assert named(None, None, None, "2823-3", "Potassium", "L")[0] is None
    assert named(None, None, None, "KALI", "Potassium", "LN")[:3] == (None, None, "KALI")
    assert named("KALI", "local", "Potassium", "2823-3", "K", "LN")[:2] == ("2823-3", "KALI")


def test_a_separator_in_what_was_sent_mixes_nothing_up() -> None:
    told = observation(test="2823-3", test_system="loinc", code="K\x1fx", other_code="L", other_system="LN")
    assert told["code"] == {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "2823-3"}
    assert observation(code="K\x1f")["code"] == {"text": "unknown"}
    assert observation(test="K", test_name="Potassium", code="\x1f")["code"]["text"] == "Potassium"


def test_a_code_of_nobodys_system_is_told_in_words_only() -> None:
    assert observation(code="K", code_text="Potassium")["code"] == {"text": "Potassium"}
    assert observation(code="K")["code"] == {"text": "K"}


@pytest.mark.parametrize(
    ("value", "sent", "told"),
    [
        ("0.1234567890", "0.12345678901", "0.12345678901"),
        ("5.0000000000", "+5.0", "5.0"),
        ("1.1234567890", "1.12345678904", "1.12345678904"),
        ("0E-10", "0.00000000001", "0.00000000001"),
        ("999999999999.1234567890", "999999999999.12345678904", "999999999999.123456789"),
        ("5.0000000000", "05.0", "5"),
    ],
)
def test_a_number_is_told_with_all_the_digits_it_was_sent_with(value: str, sent: str, told: str) -> None:
    assert digits(value, sent) == (told,)


def test_a_result_without_any_word_still_names_something() -> None:
    assert named(None, None, None, "\u00a0", None, "")[-1] == "unknown"
    assert named("K", "local", "\u00a0\x01", "\x01", " \n", "")[-1] == "K"
    assert named(None, None, None, "", "Serum\x02  potassium", "")[-1] == "Serum potassium"


def test_a_code_of_snomed_is_told_as_such() -> None:
    told = observation(code="Detected", code_system="L", other_code="260373001", other_system="SCT", feed="f")
    assert told["code"]["coding"] == [
        {"system": "http://snomed.info/sct", "code": "260373001"},
        {"system": f"{GIVEN['base']}/CodeSystem/laboratory-f", "code": "Detected"},
    ]
    assert named(None, None, None, "K", "Potassium", "SCT")[2:6] == ("K", "Potassium", None, None)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("3.5-5.1", "3.5", "5.1"),
        ("3.50 - 5.10 mmol/L", "3.50", "5.10"),
        ("-2 to 2", "-2", "2"),
        ("< 200", None, "200"),
        (">=40", "40", None),
        ("5-3", None, None),
        ("007-9", None, None),
        ("negative", None, None),
    ],
)
def test_the_ends_of_a_range_are_told_only_of_a_plain_one(text: str, low: str | None, high: str | None) -> None:
    assert limits(text, "mmol/L", "mmol/L")[:3] == (low, high, text)


def test_a_range_has_the_unit_of_the_value() -> None:
    told = observation(value="4.10", unit="mmol/L", ucum="mmol/L", range="3.50-5.10")
    unit = {"unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    assert told["referenceRange"] == [
        {"low": {"value": 3.5, **unit}, "high": {"value": 5.1, **unit}, "text": "3.50-5.10"}
    ]


def test_a_unit_that_is_not_ucum_is_only_written() -> None:
    assert observation(value="1", unit="arb. units")["valueQuantity"] == {"value": 1, "unit": "arb. units"}


def test_the_type_of_a_specimen_is_coded_where_its_system_is_known() -> None:
    assert taken("SER", "HL70487", "Serum") == ("SER", None, "Serum")
    assert taken("119364003", "SCT", None) == (None, "119364003", None)
    assert taken("X", "L", None) == (None, None, "X")
    assert taken(None, None, None)[-1] == "unknown"


@pytest.mark.parametrize("kind", VITAL_SIGNS)
def test_each_vital_sign_is_of_its_profile(kind: str) -> None:
    row = {**WRITTEN, "kind": kind, "status": "final", "effective": "2026-03-02", "doctor": "d", "value": "37.0"}
    line = VITAL_SIGN.line(GIVEN)([row.get(name) for name in VITAL_SIGN.columns])
    told = json.loads(line)
    sign = VITAL_SIGNS[kind]
    assert told["meta"]["profile"] == [f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{sign.profile}"]
    assert [one["code"] for one in told["code"]["coding"]] == [code for code, _ in sign.codes]
    assert told["valueQuantity"]["code"] == sign.ucum
    assert '"value":37.0,' in line
