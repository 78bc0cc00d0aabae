"""Proves that code lists of every form come in whole, once and in order of their days, and say what was valid when."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from backend.apps.insurance import code_files, code_sets
from backend.apps.insurance.models import Code, CodeSet

pytestmark = pytest.mark.django_db
ORDER = (
    f"00001 A00     0 {'Cholera':60} Cholera\n"
    f"00002 A000    1 {'Cholera due to Vibrio cholerae 01, biovar cholerae':60} Cholera due to Vibrio cholerae 01\n"
    f"00003 S7200XA 1 {'Fracture of unspecified part of neck':60} Fracture of unspecified part of neck of femur\n"
)
TABULAR = "A000    Cholera due to Vibrio cholerae 01\nE119    Type 2 diabetes mellitus\n"


def hcpcs(code: str, record: str, ended: str = "") -> str:
    return (
        f"{code:5}00100{record}{'Injection, ketorolac tromethamine, per 15 mg':80}{'':177}2010010120200101{ended:8}\n"
    )


HCPCS = hcpcs("J1885", "3") + hcpcs("J1885", "4") + hcpcs("A9999", "3", "20260630") + hcpcs("LT", "7")
CSV = "Code,From,To,Text,Sex,Age_From,Age_To\nN40.0,2025-10-01,,Enlarged prostate,M,,\nP22.0,,20260331,Distress,,0,0\n"
UNITS = (
    '"CPT codes are copyrighted, says\nwho owns them",,\n'
    '"HCPCS/\nCPT Code","Practitioner Services\nMUE Values","MUE Adjudication Indicator","MUE Rationale"\n'
    "J1885,8,3 Date of Service Edit: Clinical,x\n99213,2,2 Date of Service Edit: Policy,y\n"
)
TAXONOMY = 'Code,Grouping,Definition\n207Q00000X,Physicians,"In two\nlines"\n207R00000X,Physicians,x\n'


def load(path: Path, kind: str, content: str, **options: Any) -> None:
    path.write_text(content)
    call_command("codes", "load", kind, str(path), **options)


@pytest.mark.parametrize(
    ("kind", "content", "codes"),
    [
        ("icd10cm", ORDER, ["A000", "S7200XA"]),
        ("icd10cm", TABULAR, ["A000", "E119"]),
        ("icd10cm", CSV, ["N400", "P220"]),
        ("hcpcs", HCPCS, ["A9999", "J1885"]),
        ("mue", UNITS, ["99213", "J1885"]),
        ("taxonomy", TAXONOMY, ["207Q00000X", "207R00000X"]),
    ],
)
def test_each_form_of_a_list_is_known_by_its_first_lines(
    tmp_path: Path, kind: str, content: str, codes: list[str]
) -> None:
    load(tmp_path / "list.txt", kind, content, first=date(2026, 1, 1))
    assert sorted(Code.objects.filter(code_set__kind=kind).values_list("code", flat=True)) == codes


def test_what_a_file_says_of_a_code_is_kept(tmp_path: Path) -> None:
    load(tmp_path / "a.csv", "icd10cm", CSV, first=date(2025, 10, 1))
    load(tmp_path / "b.csv", "mue", UNITS, first=date(2026, 1, 1))
    load(tmp_path / "c.txt", "hcpcs", HCPCS, first=date(2010, 1, 1))
    book = code_sets.book()
    assert book.fact("icd10cm", "N400", "20260101", "sex") == "M"
    assert book.fact("icd10cm", "P220", "20260101", "age_to") == 0
    assert book.fact("mue", "J1885", "20260101", "most_units") == 8
    assert [book.fact("mue", code, "20260101", "indicator") for code in ("J1885", "99213")] == ["3", "2"]
    assert book.told("icd10cm", ["N400", "P220", "A00"], "age_from", "age_to") == {"P220"}
    assert [book.is_valid("icd10cm", "P220", day) for day in ("20260331", "20260401")] == [True, False]
    assert [book.is_valid("hcpcs", "A9999", day) for day in ("20260630", "20260701")] == [True, False]


def test_the_edition_of_the_day_decides_and_of_no_edition_only_the_shape(tmp_path: Path) -> None:
    load(tmp_path / "icd10cm_codes_2026.txt", "icd10cm", TABULAR)
    load(tmp_path / "icd10cm_codes_2027.txt", "icd10cm", "E119    Type 2 diabetes mellitus\n")
    assert list(CodeSet.objects.order_by("valid_from").values_list("valid_from", flat=True)) == [
        date(2025, 10, 1),
        date(2026, 10, 1),
    ]
    days = (date(2025, 9, 30), date(2026, 9, 30), date(2026, 10, 1))
    assert [code_sets.valid_on("icd10cm", "A000", day) for day in days] == [True, True, False]
    assert not code_sets.valid_on("icd10cm", "Z999", days[1])
    assert code_sets.valid_on("hcpcs", "Z9999", days[1])


def test_a_version_is_loaded_once_and_another_file_needs_another_version(tmp_path: Path) -> None:
    path = tmp_path / "icd10cm_codes_2026.txt"
    load(path, "icd10cm", TABULAR)
    load(path, "icd10cm", TABULAR)
    assert (CodeSet.objects.count(), Code.objects.count()) == (1, 2)
    with pytest.raises(CommandError, match="version of its own"):
        load(path, "icd10cm", ORDER)
    load(path, "icd10cm", ORDER, edition="2026 April", first=date(2026, 4, 1))
    assert CodeSet.objects.count() == 2


def test_a_second_edition_that_begins_on_the_same_day_is_refused(tmp_path: Path) -> None:
    load(tmp_path / "icd10cm_codes_2026.txt", "icd10cm", TABULAR)
    with pytest.raises(CommandError, match="begins on this day already; say with --from"):
        load(tmp_path / "icd10cm_order_2026.txt", "icd10cm", ORDER)
    load(tmp_path / "icd10cm_order_April_1_2026.txt", "icd10cm", ORDER)
    assert list(CodeSet.objects.order_by("valid_from").values_list("valid_from", flat=True)) == [
        date(2025, 10, 1),
        date(2026, 4, 1),
    ]


@pytest.mark.parametrize("form", ["{0:05} {1:7} 1 {2:60} {2}\n", "{1:7} {2}\n"])
def test_a_code_of_a_new_shape_is_loaded_and_a_few_strange_lines_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    codes = ["QA00101", "QA0", *(f"A{number}" for number in range(10, 28))]
    lines = [form.format(place, code, "Text") for place, code in enumerate(codes, start=1)]
    load(tmp_path / "icd10cm_2026.txt", "icd10cm", "".join([*lines[:9], "JANE DOE\n", *lines[9:]]))
    assert Code.objects.count() == len(codes)
    assert code_sets.valid_on("icd10cm", "QA00101", date(2026, 1, 1))
    told = capsys.readouterr().out
    assert "1 lines have a form nobody knows and were left out, the first: 10." in told
    assert "DOE" not in told


@pytest.mark.parametrize(
    ("kind", "content", "fault"),
    [
        ("icd10cm", TABULAR + "what is this\n", "Line 3"),
        ("icd10cm", ORDER + "what is this\n", "Line 4"),
        ("hcpcs", HCPCS + "what is this\n", "Line 5"),
        ("icd10cm", TABULAR + "A000    Again\n", "twice"),
        ("cpt", "a,b\n1,2\n", "neither"),
        ("cpt", "", "neither"),
        ("cpt", "code,sex\n99213,both\n", "sex is F, M"),
        ("cpt", "code,most_units\n99213,many\n", "whole numbers"),
        ("cpt", "code,from\n99213,soon\n", "2026-01-31"),
        ("cpt", "code\nnot a code\n", "letters and digits"),
        ("cpt", "code,text\n", "no code"),
        ("cpt", 'code,text\n99213,"' + "open " * 30_000, "Line .*quote"),
        ("cpt", '"' + "open " * 30_000, "Line .*quote"),
    ],
)
def test_a_file_that_is_not_right_is_refused_whole_and_by_its_line(
    tmp_path: Path, kind: str, content: str, fault: str
) -> None:
    csv.field_size_limit(1024 * 1024)  # as whoever reads the registries' files leaves it
    with pytest.raises(CommandError, match=fault):
        load(tmp_path / "list.txt", kind, content, first=date(2026, 1, 1))
    assert (CodeSet.objects.count(), Code.objects.count()) == (0, 0)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file"):
        call_command("codes", "load", "cpt", str(tmp_path / "none.csv"))


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: File name too long"):
        call_command("codes", "load", "cpt", str(tmp_path / ("n" * 300)))


def test_a_wrong_edition_is_taken_back_and_the_one_before_holds_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(tmp_path / "cpt.csv", "cpt", "code\n99213\n99214\n", edition="2026", first=date(2026, 1, 1))
    load(tmp_path / "part.csv", "cpt", "code\n99213\n", edition="part")
    assert "Services before" in capsys.readouterr().out
    assert not code_sets.valid_on("cpt", "99214", date(2099, 1, 1))
    call_command("codes", "remove", "cpt", "part")
    assert capsys.readouterr().out == "Removed 1 codes of cpt part.\n"
    assert code_sets.valid_on("cpt", "99214", date(2099, 1, 1))
    with pytest.raises(CommandError, match="no such edition"):
        call_command("codes", "remove", "cpt", "part")


def test_the_editions_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path / "icd10cm_codes_2026.txt", "icd10cm", TABULAR)
    call_command("codes", "list")
    assert "icd10cm_codes_2026" in capsys.readouterr().out.splitlines()[-1]


def test_an_unknown_form_never_shows_its_content() -> None:
    with pytest.raises(code_files.CodeFileError) as refusal:
        list(code_files.read("icd10cm", ["A000    Cholera\n", "JANE DOE\n"]))
    assert "DOE" not in str(refusal.value)
