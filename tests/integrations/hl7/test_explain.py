"""Holds that an operator sees a message by the standard's names, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.hl7.explain import explain
from integrations.hl7.reader import Finding
from tests.integrations.hl7 import samples


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
        (b"MSH|^~\\&|A|B|||||ORU^R01|1|P|9.9", Finding("MSH", 1, 12, "version not known; explained as 2.5.1")),
        (
            b"MSH|^~\\&|A|B|||2026||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1",
            Finding("MSH", 1, 9, "segments or fields are not as version 2.5.1 wants them"),
        ),
        (
            b"MSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.5.1\rOBX|1|ED|1^A||" + b"x" * 30_000,
            Finding("OBX", 1, 0, "30014 characters: too long to explain"),
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


def test_an_endless_message_is_explained_in_part() -> None:
    found = explain(b"MSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.5.1" + b"\rZZZ|1" * 30_000)
    assert found.tree.count("ZZZ-1") == 499
    assert Finding("MSH", 1, 0, "only the first 500 segments are explained") in found.findings
