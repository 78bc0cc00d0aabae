"""Holds what is read from each sample message, and what is refused without losing its neighbours."""

from __future__ import annotations

import json
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import fields as fields_read
from integrations.hl7 import oru
from integrations.hl7.fields import BadField
from integrations.hl7.findings import MOST_FINDINGS
from integrations.hl7.reader import Finding, Message
from integrations.hl7.records import Document, Observation, Report
from tests.integrations.hl7 import samples

HEAD = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260301||ORU^R01|1|P|2.5.1\rPID|1||M-1\rOBR|1|P-1|F-1|718-7^Hemoglobin^LN\r"
VALUE_TYPES = [b"NM", b"SN", b"ST", b"FT", b"CE", b"CWE", b"ED", b"RP", b"DT", b"TM", b"TS", b"", b"XX"]


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
    assert (good.asked.code.code, good.text, str(good.value.measured and good.value.measured.number)) == (
        "718-7",
        "13.1",
        "13.1",
    )


def test_the_text_of_a_bad_number_is_kept() -> None:
    observation = only(read(b"OBX|1|NM|1^A||hemolysed||||||F"))
    assert (observation.text, observation.value.measured) == ("hemolysed", None)


def test_an_offset_in_the_field_wins_over_the_senders_zone() -> None:
    observation = only(read(b"OBX|1|NM|1^A||10||||||F|||20260301120000-0500"))
    assert observation.circumstances.observed_at == datetime(2026, 3, 1, 17, 0, tzinfo=UTC)


def test_a_deleted_value_is_empty_and_no_error() -> None:
    report = read(b'OBX|1|NM|1^A||""||||||D')
    assert (only(report).value.values, only(report).circumstances.status, report.findings) == ((), "D", ())


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


RUBBISH = [
    b"",
    b'""',
    b"^^^^",
    b"~~~",
    b"&",
    b"\\",
    b"\\X0",
    b"\xff\xfe",
    b"\0",
    b"x" * 300,
    b"-1",
    b"99999999",
    b"a^b&c~d\\T\\e",
]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 26), st.sampled_from(RUBBISH) | st.binary(max_size=12), st.sampled_from(VALUE_TYPES))
def test_an_observation_with_any_field_in_rubbish_costs_no_other(place: int, rubbish: bytes, kind: bytes) -> None:
    fields = b"OBX|1|%s|1^A^LN||12|g/dL|1-2|H|||F|||20260301||||||||||" % kind
    parts = [*fields.split(b"|"), b"", b"", b""]
    parts[place] = rubbish.replace(b"\r", b"").replace(b"\n", b"").replace(b"|", b"")
    good = b"OBX|%d|NM|718-7^Hemoglobin^LN|s|13.1|g/dL|12-16|L|||F|||20260301"
    report = oru.read(Message(HEAD + b"\r".join([good % 1, b"|".join(parts), good % 3])), default_tz=UTC)
    first, _, last = report.results[0].orders[0].observations
    for found in (first, last):
        assert (found.asked.code.code, found.text, found.asked.flags, found.circumstances.status) == (
            "718-7",
            "13.1",
            ("L",),
            "F",
        )
        assert found.value.measured == fields_read.measured("13.1")
        assert (found.asked.unit.code, found.asked.reference_range, found.asked.sub_id) == ("g/dL", "12-16", "s")
        assert found.circumstances.observed_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert {one.number for one in report.findings if one.segment == "OBX"} <= {2}


def test_an_observation_reads_the_same_whatever_stands_before_it() -> None:
    """What was read of a line is remembered for the next one: it must not matter."""
    lines = [line for line in samples.raw("microbiology").split(b"\r") if line.startswith(b"OBX")]
    alone = [only(read(line))._replace(number=0) for line in lines]
    report = read(*[line for line in lines for _ in range(3)])
    together = [found._replace(number=0) for found in report.results[0].orders[0].observations]
    assert together == [found for found in alone for _ in range(3)]


@pytest.mark.parametrize(
    ("encoding", "data", "content"),
    [
        ("Base64", "JVBERi0x\nLjQ=", b"%PDF-1.4"),
        ("HEX", "25504446", b"%PDF"),
        ("A", "plain é", "plain é".encode()),
        ("Base64", "JVBERi0xLjQ", None),
        ("Base64", "JVBE*i0xLjQ=", None),
        ("Hex", "2550444", None),
        ("UUENCODE", "x", None),
    ],
)
def test_a_document_is_decoded_or_refused_by_its_shape(encoding: str, data: str, content: bytes | None) -> None:
    document = Document("application", "pdf", encoding, data)
    if content is not None:
        assert document.content() == content
        return
    with pytest.raises(BadField) as raised:
        document.content()
    assert data not in str(raised.value)


def test_the_document_of_a_message_is_a_file() -> None:
    [group] = samples.report("document").results
    document = group.orders[0].observations[0].value.document
    assert document is not None
    assert document.content().startswith(b"%PDF")


@pytest.mark.parametrize("trigger", [b"R22", b"R23"])
def test_where_the_specimen_comes_first_each_order_has_the_one_before_it(trigger: bytes) -> None:
    raw = HEAD.split(b"\r")[0].replace(b"R01", trigger).replace(b"ORU", b"OUL") + (
        b"\rPID|1||M-1\rSPM|1|S1||BLD\rOBR|1|P-1|F-1|1^A\rOBX|1|NM|1^A||1||||||F\rOBR|2|P-2|F-2|2^B\rSPM|2|S2||UR\rOBR|3|P-3|F-3|3^C"
    )
    orders = oru.read(Message(raw), default_tz=UTC).results[0].orders
    assert [[each.placer for each in order.specimens] for order in orders] == [["S1"], ["S1"], ["S2"]]


@pytest.mark.parametrize(
    "lines",
    [
        "SPM|1|S1;OBR|1||F-1;ORC|RE|P-1;NTE|1||n;{};OBR|2||F-2;ORC|RE|P-2",
        "SPM|1|S1;ORC|RE|P-1;OBR|1||F-1;NTE|1||n;{};ORC|RE|P-2;OBR|2||F-2",
    ],
)
@pytest.mark.parametrize("observation", ["OBX|1|NM|1^A||1||||||F", "ZZZ"])
@pytest.mark.parametrize("trigger", ["R22", "R23", "R24"])
def test_in_an_oul_the_numbers_behind_an_order_are_its_own(lines: str, observation: str, trigger: str) -> None:
    raw = f"MSH|^~\\&|LIS|LAB|||20260301||OUL^{trigger}|1|P|2.5.1;PID|1||M-1;{lines.format(observation)}"
    orders = oru.read(Message(raw.replace(";", "\r").encode()), default_tz=UTC).results[0].orders
    assert [(each.placer, each.filler, each.notes) for each in orders] == [("P-1", "F-1", ("n",)), ("P-2", "F-2", ())]


def test_what_stands_before_an_observation_without_an_order_stays_with_it() -> None:
    head = HEAD.partition(b"OBR")[0]
    lines = [b"ORC|RE|P1|F1", b"TQ1|1||||||||S", b"SPM|1|A", b"OBX|1|NM|1^A||1||||||F", b"SPM|2|B", b"OBR|1|||2^B"]
    first, second = oru.read(Message(head + b"\r".join(lines)), default_tz=UTC).results[0].orders
    assert (first.placer, first.filler, [each.placer for each in first.specimens]) == ("P1", "F1", ["A", "B"])
    assert (second.placer, second.filler, second.priority, second.specimens) == ("", "", "", ())


def test_a_message_of_far_too_many_orders_is_read_in_part_and_told() -> None:
    report = read(b"\r".join([b"OBR|1|P|F|1^A"] * (oru.MOST_GROUPS + 5)))
    assert len(report.results[0].orders) < oru.MOST_GROUPS
    assert report.findings[-1].message == "only the first 20000 patients and orders are read"


def test_findings_of_a_hostile_message_are_bounded() -> None:
    report = read(b"\r".join([b"OBX|1|NM|||x"] * 2_000))
    assert len(report.findings) == MOST_FINDINGS + 1
    assert len(report.results[0].orders[0].observations) == 2_000


@pytest.mark.parametrize("flood", [b"QUJD", b"\\F\\", b"~^&", b"|", b"\\X41", b"\x1b$B"])
def test_ten_megabytes_in_one_value_take_little_time_and_memory(flood: bytes) -> None:
    raw = HEAD + b"OBX|1|ED|1^A||^application^pdf^Base64^" + flood * (10_000_000 // len(flood)) + b"||||||F"
    tracemalloc.start()
    began = time.process_time()
    try:
        oru.read(Message(raw), default_tz=UTC)
        assert time.process_time() - began < 2
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_fifty_thousand_observations_are_read_in_two_seconds() -> None:
    line = b"\rOBX|%d|NM|1-1^Analyte of some name^LN||%d.5|mg/dL^^UCUM|1-2|N|||F|||20260301080000-0500"
    raw = HEAD + b"".join(line % (place, place) for place in range(50_000))
    began = time.process_time()
    report = oru.read(Message(raw), default_tz=UTC)
    assert time.process_time() - began < 2
    assert len(report.results[0].orders[0].observations) == 50_000
