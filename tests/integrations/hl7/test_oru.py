"""Holds what is read from each sample message, and what is refused without losing its neighbours."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.hl7 import oru
from integrations.hl7.reader import Finding, Message
from integrations.hl7.records import Observation, Report
from tests.integrations.hl7 import samples

HEAD = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260301||ORU^R01|1|P|2.5.1\rPID|1||M-1\rOBR|1|P-1|F-1|718-7^Hemoglobin^LN\r"


def read(*segments: bytes) -> Report:
    return oru.read(Message(HEAD + b"\r".join(segments)), default_tz=UTC)


def only(report: Report) -> Observation:
    [observation] = report.results[0].orders[0].observations
    return observation


@pytest.mark.parametrize("path", samples.MESSAGES, ids=lambda path: path.stem)
def test_a_sample_reads_as_the_file_beside_it_says(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    assert samples.written(samples.report(path.stem)) == expected


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("name", ["chemistry", "structured_numbers", "several_orders"])
def test_line_ends_do_not_matter(name: str, end: bytes) -> None:
    other = Message(samples.raw(name).replace(b"\r", end))
    assert oru.read(other, default_tz=samples.ZONE) == samples.report(name)


@pytest.mark.parametrize(
    ("obx", "finding"),
    [
        (b"OBX|1|NM|1^A||ten||||||F", Finding("OBX", 1, 5, "not a number: 3 characters")),
        (b"OBX|1|NM|1^A||1e5||||||F", Finding("OBX", 1, 5, "not a number: 3 characters")),
        (b"OBX|1|NM|1^A||NaN||||||F", Finding("OBX", 1, 5, "not a number: 3 characters")),
        (b"OBX|1|SN|1^A||>||||||F", Finding("OBX", 1, 5, "a structured number without a number")),
        (b"OBX|1|SN|1^A||^1^-^x||||||F", Finding("OBX", 1, 5, "not a number: 1 characters")),
        (b"OBX|1|NM|||10||||||F", Finding("OBX", 1, 3, "no code")),
        (b"OBX|1|NM|1^A||10", Finding("OBX", 1, 11, "no status")),
        (b"OBX|1|NM|1^A||10||||||F|||20261301", Finding("OBX", 1, 14, "not a real date")),
        (b"OBX|1|NM|1^A||10||||||F|||yesterday", Finding("OBX", 1, 14, "not a time stamp: 9 characters")),
    ],
)
def test_a_bad_field_is_told_without_its_value_and_costs_no_other(obx: bytes, finding: Finding) -> None:
    report = read(obx, b"OBX|2|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F")
    assert report.findings == (finding,)
    bad, good = report.results[0].orders[0].observations
    assert bad.number == 1
    assert (good.code.code, good.text, str(good.measured and good.measured.number)) == ("718-7", "13.1", "13.1")


def test_the_text_of_a_bad_number_is_kept() -> None:
    observation = only(read(b"OBX|1|NM|1^A||hemolysed||||||F"))
    assert (observation.text, observation.measured) == ("hemolysed", None)


def test_an_offset_in_the_field_wins_over_the_senders_zone() -> None:
    observation = only(read(b"OBX|1|NM|1^A||10||||||F|||20260301120000-0500"))
    assert observation.observed_at == datetime(2026, 3, 1, 17, 0, tzinfo=UTC)


def test_a_deleted_value_is_empty_and_no_error() -> None:
    report = read(b'OBX|1|NM|1^A||""||||||D')
    assert (only(report).values, only(report).status, report.findings) == ((), "D", ())


def test_a_note_after_the_patient_is_nobodys() -> None:
    message = (
        b"MSH|^~\\&|||||||ORU^R01|1|P|2.5\rPID|1||M-1\rNTE|1||about the patient\rOBR|1|||1^A\rNTE|1||about the order\r"
    )
    report = oru.read(Message(message), default_tz=UTC)
    assert report.results[0].orders[0].notes == ("about the order",)


def test_an_order_number_never_moves_to_the_next_order() -> None:
    report = read(b"ORC|RE|P-2|F-2", b"OBR|2|||2^B", b"OBR|3|||3^C")
    assert [order.placer for order in report.results[0].orders] == ["P-1", "P-2", ""]


def test_records_print_nothing_of_a_patient() -> None:
    report = samples.report("chemistry")
    for secret in ("Ana", "1979", "MRN-1001", "104", "Fasting"):
        assert secret not in repr(report)
