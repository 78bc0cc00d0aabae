"""Reads the code lists that clinics get from CMS, NUCC and others, line by line; without it each would be typed in."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from backend.apps.insurance.models.code_sets import CodeSetKind

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

MOST_TEXT = 300
MOST_CODE = 12
CODE = re.compile(r"[0-9A-Z.]{1,12}")
ORDER_LINE = re.compile(
    r"(?P<order>\d{5}) (?P<code>[A-Z][0-9A-Z]{2,6}) {1,6}(?P<billable>[01]) (?P<short>.{60}) (?P<text>.*)"
)
CODE_LINE = re.compile(r"(?P<code>[A-Z](?=[A-Z]*\d)[0-9A-Z]{2,6})\s+(?P<text>\S.*)")
HCPCS_LINE = re.compile(r"(?P<code>[0-9A-Z ]{5})[0-9 ]{5}(?P<record>[3478])(?P<text>.{80})")
HCPCS_DATES = {"added": slice(268, 276), "changed": slice(276, 284), "ended": slice(284, 292)}
FIRST_OF_A_CODE = "3"  # of a procedure; 4 goes on with it, 7 and 8 are modifiers
NOT_BILLABLE = "0"  # a heading of ICD-10-CM, which no claim may carry
HEADINGS = {
    "code": {"code", "hcpc", "hcpcs", "hcpcs code", "hcpcs/cpt code", "hcpcs/ cpt code", "cpt code"},
    "from": {"from", "valid_from", "add dt", "effective date"},
    "to": {"to", "valid_to", "term dt", "deactivation date"},
    "text": {"text", "description", "long description", "display name", "name"},
    "sex": {"sex"},
    "age_from": {"age_from"},
    "age_to": {"age_to"},
    "most_units": {"most_units", "practitioner services mue values", "mue values"},
    "indicator": {"indicator", "mue adjudication indicator"},
}
DAYS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y")
FEW = 10  # one line in so many may have a form nobody knows; more of them are another file
MOST_LINES_ABOVE = 10  # of a CSV: CMS begins its own with words on copyright
LARGEST_CELL = 128 * 1024  # characters: what is longer is a quote that nobody closed

Numbered = Iterator[tuple[int, str]]
LeaveOut = Callable[[int], None]


class CodeFileError(ValueError):
    """A file is not what it is said to be; the text names the line and never repeats it."""


class CodeRow(NamedTuple):
    """facts: what the file says beyond the days, as {"sex": "F", "age_from": 12, "age_to": 55, "most_units": 4}.

    indicator: how CMS holds claims against most_units: 1 by the line, 2 by the day without exception, 3 by the day.
    """

    code: str
    text: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    facts: Mapping[str, Any] = {}


Reader = Callable[[Numbered, LeaveOut], Iterator[CodeRow]]


def read(kind: str, lines: Iterable[str], leave_out: LeaveOut = lambda _: None) -> Iterator[CodeRow]:
    """Yield the codes of a file; its form is known by its first lines: ICD-10-CM, HCPCS as fixed columns, or CSV.

    leave_out: is told at the end of the lines of ICD-10-CM that do not fit, as long as they are few.

    Raises:
        CodeFileError: no form fits, a line (of ICD-10-CM: many) does not fit the form, or a code stands there twice.
    """
    numbered = enumerate(lines, start=1)
    head = [pair for pair in (next(numbered, None) for _ in range(MOST_LINES_ABOVE)) if pair is not None]
    reader = _reader(kind, [line for _, line in head])
    return _once(reader(_chained(head, numbered), leave_out))


def _reader(kind: str, head: list[str]) -> Reader:
    """The first row of a table may go over several lines: a heading in quotes breaks where CMS broke it."""
    first = next((line for line in head if line.strip()), "")
    if kind == CodeSetKind.ICD10CM and ORDER_LINE.match(first):
        return _icd_order
    if kind == CodeSetKind.ICD10CM and CODE_LINE.match(first):
        return _icd_codes
    if kind == CodeSetKind.HCPCS and HCPCS_LINE.match(first):
        return _hcpcs
    if any(_headings(cells) for cells in _cells(csv.reader(head))):
        return _table
    raise CodeFileError("This is neither a list of CMS nor a table whose first row names a column code.")


def _chained(head: list[tuple[int, str]], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in head:
        yield number, line.rstrip("\r\n")
    for number, line in rest:
        yield number, line.rstrip("\r\n")


def _once(rows: Iterator[CodeRow]) -> Iterator[CodeRow]:
    seen = set()
    for row in rows:
        if row.code in seen:
            raise CodeFileError(f"The code {row.code} stands there twice.")
        seen.add(row.code)
        yield row


def _icd_order(lines: Numbered, leave_out: LeaveOut) -> Iterator[CodeRow]:
    for found in _fitting(ORDER_LINE, lines, leave_out):
        if found["billable"] != NOT_BILLABLE:
            yield CodeRow(found["code"], found["text"].strip()[:MOST_TEXT])


def _icd_codes(lines: Numbered, leave_out: LeaveOut) -> Iterator[CodeRow]:
    for found in _fitting(CODE_LINE, lines, leave_out):
        yield CodeRow(found["code"], found["text"].strip()[:MOST_TEXT])


def _fitting(form: re.Pattern[str], lines: Numbered, leave_out: LeaveOut) -> Iterator[re.Match[str]]:
    good, strange = 0, []
    for number, line in lines:
        if found := form.match(line):
            good += 1
            yield found
        elif line.strip():
            strange.append(number)
    if len(strange) * FEW > good:
        raise CodeFileError(f"Line {strange[0]} is not one of this list of ICD-10-CM, and others are not.")
    for number in strange:
        leave_out(number)


def _hcpcs(lines: Numbered, _: LeaveOut) -> Iterator[CodeRow]:
    """Source: CMS, HCPCS record layout (HCPC_recordlayout.txt)."""
    for number, line in lines:
        if not line.strip():
            continue
        found = HCPCS_LINE.match(line)
        if found is None:
            raise CodeFileError(f"Line {number} is not one of a HCPCS file.")
        if found["record"] == FIRST_OF_A_CODE:
            days = {name: _column(line[place], number) for name, place in HCPCS_DATES.items()}
            yield CodeRow(found["code"].strip(), found["text"].strip(), days["added"], days["ended"])


def _column(text: str, number: int) -> date | None:
    return _day(text.strip(), number) if text.strip() else None


def _table(lines: Numbered, _: LeaveOut) -> Iterator[CodeRow]:
    columns: dict[str, int] = {}
    reader = csv.reader(f"{line}\n" for _, line in lines)
    for cells in _cells(reader):
        if not columns:
            columns = _headings(cells)
        elif any(cells):
            found = {name: cells[at].strip() for name, at in columns.items() if at < len(cells)}
            yield _row(found, reader.line_num)


def _cells(rows: CsvReader) -> Iterator[list[str]]:
    csv.field_size_limit(LARGEST_CELL)  # it is one for the whole process, and who reads other files widens it
    try:
        yield from rows
    except csv.Error as error:
        raise CodeFileError(f"Line {rows.line_num}: a quote is opened and not closed.") from error


def _headings(cells: list[str]) -> dict[str, int]:
    """Return the place of each known column, nothing where none of them is that of the code."""
    words = [" ".join(cell.strip("\ufeff").lower().split()) for cell in cells]
    found = {
        name: next((at for at, word in enumerate(words) if word in known), None) for name, known in HEADINGS.items()
    }
    return {name: at for name, at in found.items() if at is not None} if found["code"] is not None else {}


def _row(cells: Mapping[str, str], number: int) -> CodeRow:
    code = cells.get("code", "").upper().replace(".", "")
    if not CODE.fullmatch(code):
        raise CodeFileError(f"Line {number}: a code has at most {MOST_CODE} letters and digits.")
    facts: dict[str, Any] = {
        name: _whole(cells[name], number) for name in ("age_from", "age_to", "most_units") if cells.get(name)
    }
    if cells.get("sex"):
        facts["sex"] = _sex(cells["sex"], number)
    if cells.get("indicator"):
        facts["indicator"] = cells["indicator"][0]  # CMS writes "2 Date of Service Edit: Policy"
    first, last = (_column(cells.get(name, ""), number) for name in ("from", "to"))
    return CodeRow(code, cells.get("text", "")[:MOST_TEXT], first, last, facts)


def _whole(text: str, number: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise CodeFileError(f"Line {number}: ages and units are whole numbers.")
    return int(text)


def _sex(text: str, number: int) -> str:
    if text.upper() not in {"F", "M"}:
        raise CodeFileError(f"Line {number}: the sex is F, M or nothing.")
    return text.upper()


def _day(text: str, number: int) -> date:
    for form in DAYS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    raise CodeFileError(f"Line {number}: a day is written as 2026-01-31.")
