"""Holds that an operator sees a message by the standard's names, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.hl7.explain import explain, mask
from integrations.hl7.reader import Finding
from tests.integrations.hl7 import samples

HEAD = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260301||ORU^R01|1|P|2.5.1\rPID|1||M-1\rOBR|1|P-1|F-1|718-7^Hemoglobin^LN\r"


def test_fields_and_components_have_their_names_and_decoded_values() -> None:
    tree = explain(samples.raw("chemistry")).tree
    for line in (
        "  MSH-2 encoding characters ST: ^~\\&",
        "    .1 family name: Núñez&de",
        "    .2 text: Glucose [Mass/volume] in Serum",
        "  NTE-3 comment FT: Fasting & hydrated",
        "  OBX-11 observation result status ID: F",
    ):
        assert line in tree.split("\n")


@pytest.mark.parametrize("path", samples.MESSAGES, ids=lambda path: path.stem)
def test_every_segment_of_every_sample_is_shown(path: Path) -> None:
    raw = path.read_bytes()
    tree = explain(raw).tree.split("\n")
    names = [line[:3].decode() for line in raw.replace(b"\n", b"\r").split(b"\r") if line]
    assert [line[:3] for line in tree if not line.startswith(" ")] == names


@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        (b"EHLO", Finding("MSH", 1, 0, "missing: this is not an HL7 message")),
        (b"MSH|^~\\&|A|B|||||ORU^R01|1|P|9.9", Finding("MSH", 1, 12, "version not known; checked as 2.5.1")),
        (
            b"MSH|^~\\&|A|B|||2026||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1",
            Finding("MSH", 1, 0, "ends too early for ORU_R01"),
        ),
        (
            b"MSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.5.1\rOBX|1|ED|1^A||" + b"x" * 30_000,
            Finding("OBX", 1, 0, "not expected here in ORU_R01"),
        ),
    ],
)
def test_what_is_wrong_is_told(raw: bytes, finding: Finding) -> None:
    assert finding in explain(raw).findings


@pytest.mark.parametrize(
    "raw",
    [
        b"MSH|",
        b"MSH||||||",
        b"MSH|^~\\&\rOBX",
        b"MSH|^^^^|\rPID|1^2",
        b"MSH|^~\\&|||||||ORU\r|||\r???|x",
        b"MSH|^~\\&\xff\0",
    ],
)
def test_no_message_is_too_broken_to_look_at(raw: bytes) -> None:
    assert explain(raw).tree.startswith("MSH 1")


def test_findings_hold_no_values() -> None:
    told = " ".join(finding.message for finding in explain(samples.raw("several_orders")).findings)
    for secret in ("Diaz", "1003", "abc", "12.5"):
        assert secret not in told


def test_a_finding_stands_beside_its_field_in_the_text_and_in_the_form_for_a_page() -> None:
    found = explain(samples.raw("several_orders"))
    assert "  OBX-5 observation value varies: abc  <- not a number: 3 characters" in found.told.split("\n")
    assert "<-" not in found.tree
    wrong = [
        (segment.number, one.path, one.text, one.findings)
        for segment in found.segments
        if segment.name == "OBX"
        for one in segment.fields
        if one.findings
    ]
    assert (4, "OBX-5", "abc", ("not a number: 3 characters",)) in wrong


def test_a_required_field_that_is_not_there_has_its_line_all_the_same() -> None:
    [obx] = explain(HEAD + b"OBX|1|NM|1^A||10").segments[3:]
    assert [(one.path, one.title, one.text, one.findings) for one in obx.fields][-1] == (
        "OBX-11",
        "observation result status",
        "",
        ("required, and empty",),
    )


def test_components_of_a_value_have_the_names_of_the_type_that_obx_2_tells() -> None:
    [obx] = explain(HEAD + b"OBX|1|CE|1^A||X^Yes^L||||||F").segments[3:]
    assert [one.title for one in obx.fields if one.path.startswith("OBX-5.")] == [
        "identifier",
        "text",
        "name of coding system",
    ]


def test_a_very_long_value_is_cut_for_the_eye() -> None:
    [obx] = explain(HEAD + b"OBX|1|ED|1^A||" + b"x" * 30_000).segments[3:]
    assert any(one.text.endswith(" ... (30000 characters)") and len(one.text) < 21_000 for one in obx.fields)


@pytest.mark.parametrize("name", ["chemistry", "several_orders", "document", "ward_admission", "foreign_signs"])
def test_masked_nothing_tells_of_the_patient_and_codes_stay(name: str) -> None:
    raw = samples.raw(name)
    shown = explain(raw, masked=True).tree + mask(raw)
    patient = samples.report(name).results[0].patient if samples.report(name).results else None
    for secret in (patient.family, patient.given, *(one.value for one in patient.identifiers)) if patient else ():
        assert not secret or secret not in shown
    for group in samples.report(name).results:
        for order in group.orders:
            assert order.service.code in shown
            for observation in order.observations:
                assert observation.asked.code.code in shown
                assert not any(f": {value}\n" in shown for value in observation.value.values if value.strip())


def test_a_masked_message_keeps_its_separators_and_says_how_long_each_part_is() -> None:
    raw = HEAD + b"OBX|1|NM|1^A||12.5||||||F\rZPI|secret^more\rNTE|1|L|Ana said so"
    assert mask(raw).split("\n")[1:] == [
        "PID|1 character||3 characters",
        "OBR|1|P-1|F-1|718-7^Hemoglobin^LN",
        "OBX|1|NM|1^A||4 characters||||||F",
        "ZPI|6 characters^4 characters",
        "NTE|1|L|11 characters",
    ]
    assert mask(b"My name is Ana") == "14 bytes that are no HL7 message"


def test_a_message_is_explained_in_the_charset_that_is_usual_where_it_names_none() -> None:
    raw = "MSH|^~\\&|A\rPID|1||M1||\u68c0\u9a8c".encode("gb18030")
    assert mask(raw, charset="GB 18030-2000").endswith("PID|1 character||2 characters||2 characters")
    assert "\u68c0\u9a8c" in explain(raw, charset="GB 18030-2000").tree


def test_an_endless_message_is_explained_in_part() -> None:
    found = explain(b"MSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.5.1" + b"\rZZZ|1" * 30_000)
    assert found.tree.count("ZZZ-1") == 499
    assert Finding("MSH", 1, 0, "only the first 500 segments are explained") in found.findings
