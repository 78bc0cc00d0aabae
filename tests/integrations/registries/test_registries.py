"""Holds the reading of public registries: who is found, who is not, and that a bad file leaves the old edition."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import time_machine

from integrations.registries import Finding, Licence, Person, RegistryFileError, Verdict
from integrations.registries.names import key
from integrations.registries.store import edition, load, opened

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "registries"
LEIE, NPPES = SAMPLES / "UPDATED.csv", SAMPLES / "npidata_pfile_20050523-20261108.csv"


def person(last: str, first: str, npi: str = "", born: str = "", licences: tuple[Licence, ...] = ()) -> Person:
    return Person(last, first, npi, date.fromisoformat(born) if born else None, licences)


def found(source: str, folder: Path, who: Person) -> Finding:
    with opened(source, folder) as registry:
        assert registry is not None
        return registry.look_up(who)


@pytest.fixture(scope="module", autouse=True)
def december() -> Iterator[None]:
    """Let it be a day after that of each sample: an edition of a day to come is refused."""
    with time_machine.travel(datetime(2026, 12, 1, 15, tzinfo=UTC)):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both samples loaded."""
    made = tmp_path_factory.mktemp("registries")
    load("leie", LEIE, made, anyway=True)
    load("nppes", NPPES, made, anyway=True)
    return made


@pytest.mark.parametrize(
    ("who", "verdict", "by"),
    [
        (person("Holloway", "Gareth", "1999999984"), Verdict.EXCLUDED, "npi"),
        (person("Somebody", "Else", "1999999984"), Verdict.EXCLUDED, "npi"),
        (person("Holloway", "Gareth", born="1961-02-03"), Verdict.EXCLUDED, "name and birth date"),
        (person("Holloway", "Gareth", born="1961-02-04"), Verdict.CLEAR, ""),
        (person("Holloway", "Gareth"), Verdict.PERHAPS_EXCLUDED, "name"),
        (person("holloway", "GARETH J."), Verdict.PERHAPS_EXCLUDED, "name"),
        (person("Holloway", "Garth"), Verdict.CLEAR, ""),
        (person("Peñalver", "Mary", born="1975-06-11"), Verdict.EXCLUDED, "name and birth date"),
        (person("Penalver Quint", "Mary"), Verdict.PERHAPS_EXCLUDED, "name"),
        (person("Winterbottom-Hale", "Oswin", born="1980-01-01"), Verdict.PERHAPS_EXCLUDED, "name"),
        (person("Featherstonehaughington", "Christopher-Longname"), Verdict.PERHAPS_EXCLUDED, "name"),
        (person("Brackenridge", "Ida", "1999999992", "1958-09-09"), Verdict.CLEAR, ""),
        (person("Oldfield", "Petra", born="1970-01-01"), Verdict.PERHAPS_EXCLUDED, "name"),
        (person("", ""), Verdict.CLEAR, ""),
        (person("Stone", "Grace", "0000000000"), Verdict.CLEAR, ""),
    ],
    ids=[
        "by NPI", "by NPI under another name", "by birth date", "born on another day", "by name alone",
        "more first names", "another first name", "accent and half of a name", "a space for a hyphen",
        "no birth date on the list", "names that were cut off", "reinstated", "an impossible day on the list",
        "no name", "no number is no match",
    ],
)  # fmt: skip
def test_who_is_excluded(folder: Path, who: Person, verdict: Verdict, by: str) -> None:
    answer = found("leie", folder, who)
    assert (answer.verdict, answer.by) == (verdict, by)
    assert bool(answer.lines) is bool(answer.entries) is (verdict != Verdict.CLEAR)


def test_a_waiver_is_told_and_takes_nothing_back(folder: Path) -> None:
    answer = found("leie", folder, person("Featherstonehaughing", "Christopher-Lon", born="1980-01-01"))
    assert (answer.verdict, answer.waived_in) == (Verdict.EXCLUDED, "NY")
    assert answer.excluded_on == date(2026, 10, 20)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Łukasz", "lukasz"), ("Strømsø", "stromso"), ("Đorđević", "dordevic"), ("Æsa", "aesa"), ("Cœur", "coeur"),
        ("Groß", "gross"), ("GROẞ", "gross"), ("Guðrún", "gudrun"), ("Þór", "thor"), ("I\u015f\u0131l", "isil"),
        ("İnci", "inci"),
    ],
)  # fmt: skip
def test_letters_with_a_stroke_and_double_ones_are_found_in_plain_spelling(name: str, plain: str) -> None:
    assert key(name) == plain


NY, NJ = Licence("NY", "123456"), Licence("NJ", "778")


@pytest.mark.parametrize(
    ("who", "verdict", "differs"),
    [
        (person("Holloway", "Gareth", "1999999984", licences=(NY, NJ)), Verdict.CLEAR, ()),
        (person("Holloway", "Gareth", "1999999984"), Verdict.CLEAR, ()),
        (person("Hollowell", "Gareth", "1999999984"), Verdict.DIFFERS, ("last_name",)),
        (person("Holloway", "Ann", "1999999984"), Verdict.DIFFERS, ("first_name",)),
        (
            person("Holloway", "Gareth", "1999999984", licences=(Licence("NY", "9"),)),
            Verdict.DIFFERS,
            ("license_number",),
        ),
        (
            person("Holloway", "Gareth", "1999999984", licences=(Licence("PA", "9"),)),
            Verdict.DIFFERS,
            ("license_state",),
        ),
        (person("Merriweather", "Ida", "1999999992", licences=(NY,)), Verdict.CLEAR, ()),
        (person("Oldfield", "Petra", "1999999968"), Verdict.CLEAR, ()),
        (person("Anybody", "Any", "1999999976"), Verdict.DEACTIVATED, ()),
        (person("Lamp", "Any", "1999999950"), Verdict.DIFFERS, ("entity_type", "last_name", "first_name")),
        (person("Anybody", "Any", "1234567893"), Verdict.NOT_FOUND, ()),
        (person("Anybody", "Any"), Verdict.NOT_FOUND, ()),
    ],
    ids=[
        "all the same", "no licence of ours", "last name", "first name", "license number", "license state",
        "a former name, and no licence there", "opened again", "closed", "an organisation", "no such number",
        "no number",
    ],
)  # fmt: skip
def test_whose_number_it_is(folder: Path, who: Person, verdict: Verdict, differs: tuple[str, ...]) -> None:
    answer = found("nppes", folder, who)
    assert (answer.verdict, answer.differs) == (verdict, differs)


def test_the_edition_is_told_by_the_file_and_another_day_by_hand(folder: Path, tmp_path: Path) -> None:
    leie, nppes = edition("leie", folder), edition("nppes", folder)
    assert leie is not None
    assert nppes is not None
    assert (leie.name, leie.rows) == ("2026-10-20", 7)
    assert (nppes.name, nppes.rows) == ("2026-11-08", 5)
    assert load("leie", LEIE, tmp_path, day=date(2026, 11, 10), anyway=True).name == "2026-11-10"
    assert edition("nppes", tmp_path) is None


def test_the_same_entry_is_known_again_in_another_line(folder: Path, tmp_path: Path) -> None:
    head, *lines = LEIE.read_text().splitlines(keepends=True)
    moved = tmp_path / "moved.csv"
    moved.write_text(head + "".join(reversed(lines)))
    load("leie", moved, tmp_path, anyway=True)
    before, after = (found("leie", where, person("Holloway", "Gareth")) for where in (folder, tmp_path))
    assert before.entries == after.entries
    assert before.lines != after.lines


def test_an_archive_is_read_as_it_comes_with_the_progress_of_the_file_inside(tmp_path: Path) -> None:
    packed, told = tmp_path / "NPPES_Data_Dissemination.zip", list[tuple[int, int]]()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(NPPES, NPPES.name)
        archive.writestr(NPPES.name.replace(".csv", "_fileheader.csv"), "NPI\n")
        archive.writestr("othername_pfile_20050523-20261108.csv", "NPI\n")
    made = load("nppes", packed, tmp_path, anyway=True, tell=lambda *done: told.append(done))
    assert (made.name, made.rows) == ("2026-11-08", 5)
    assert told[-1] == (NPPES.stat().st_size, NPPES.stat().st_size)


def test_an_old_windows_spelling_is_read(tmp_path: Path) -> None:
    file = tmp_path / "UPDATED.csv"
    file.write_bytes(LEIE.read_bytes().replace(b"WINTERBOTTOM", "PEÑA".encode("cp1252")))
    load("leie", file, tmp_path, anyway=True)
    assert found("leie", tmp_path, person("Pena", "Oswin")).verdict == Verdict.PERHAPS_EXCLUDED


def _cut(content: bytes) -> bytes:
    return content[: len(content) - 40]


def _short(content: bytes) -> bytes:
    return content.rpartition(b'"20191120"')[0] + b"\r\n"


def _zip_cut(content: bytes) -> bytes:
    return b"PK\x03\x04" + content


@pytest.mark.parametrize(
    ("spoil", "name", "words"),
    [
        (_cut, "UPDATED.csv", "middle of a line"),
        (_short, "UPDATED.csv", "columns and not 18"),
        (lambda content: content.replace(b"EXCLDATE", b"DATE"), "UPDATED.csv", "no column EXCLDATE"),
        (lambda _: NPPES.read_bytes(), "UPDATED.csv", "another file"),
        (lambda _: b"", "UPDATED.csv", "another file"),
        (lambda content: content.split(b"\r\n")[0] + b"\r\n", "UPDATED.csv", "which day|of which"),
        (_zip_cut, "UPDATED.zip", "archive is broken"),
    ],
    ids=["cut off", "a short line", "another heading", "another registry", "empty", "no rows", "half an archive"],
)
def test_a_bad_file_is_refused_in_a_sentence_and_the_old_edition_stays(
    tmp_path: Path, spoil: Callable[[bytes], bytes], name: str, words: str
) -> None:
    load("leie", LEIE, tmp_path, anyway=True)
    bad = tmp_path / name
    bad.write_bytes(spoil(LEIE.read_bytes()))
    with pytest.raises(RegistryFileError, match=words) as refusal:
        load("leie", bad, tmp_path, anyway=True)
    assert "OLDFIELD" not in str(refusal.value)
    assert found("leie", tmp_path, person("Holloway", "Gareth")).verdict == Verdict.PERHAPS_EXCLUDED
    assert {path.name for path in tmp_path.iterdir()} == {"leie.sqlite", "leie.lock", name}


def test_a_file_too_small_to_be_the_whole_is_refused_unless_one_insists(tmp_path: Path) -> None:
    with pytest.raises(RegistryFileError, match="update of a few days"):
        load("leie", LEIE, tmp_path)
    assert edition("leie", tmp_path) is None


def test_the_update_of_a_week_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    week = tmp_path / "npidata_pfile_20261102-20261108.csv"
    week.write_bytes(NPPES.read_bytes())
    with pytest.raises(RegistryFileError, match="week"):
        load("nppes", week, tmp_path, anyway=True)


def test_an_older_edition_does_not_come_back_by_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.registries.leie.FEWEST", 1)
    load("leie", LEIE, tmp_path, day=date(2026, 12, 1))
    with pytest.raises(RegistryFileError, match="2026-12-01"):
        load("leie", LEIE, tmp_path)
    assert load("leie", LEIE, tmp_path, anyway=True).name == "2026-10-20"


@pytest.mark.parametrize("day", [date(2026, 12, 5), None], ids=["by hand", "in the file"])
def test_an_edition_of_a_day_to_come_is_refused_even_when_one_insists(tmp_path: Path, day: date | None) -> None:
    file = tmp_path / "UPDATED.csv"
    file.write_bytes(LEIE.read_bytes().replace(b"20261020", b"20261020" if day else b"20291020"))
    with pytest.raises(RegistryFileError, match="a day to come"):
        load("leie", file, tmp_path, day=day, anyway=True)
    made = load("leie", file, tmp_path, day=date(2026, 12, 4), anyway=True)
    assert made == edition("leie", tmp_path)
    assert made.loaded_at.date() == date(2026, 12, 1)


@pytest.mark.parametrize("source", ["leie", "nppes"])
def test_an_archive_with_a_damaged_directory_is_refused_in_a_sentence(tmp_path: Path, source: str) -> None:
    packed = tmp_path / "file.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(NPPES, NPPES.name)
    whole = packed.read_bytes()
    for place, spoiled in ((whole.rindex(b"PK\x01\x02"), b"PK\x07\x07"), (len(whole) - 10, b"\xff" * 4)):
        packed.write_bytes(whole[:place] + spoiled + whole[place + 4 :])
        with pytest.raises(RegistryFileError, match="archive is broken"):
            load(source, packed, tmp_path, anyway=True)


def test_what_a_killed_load_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "leie.part").write_bytes(b"half an index")
    assert load("leie", LEIE, tmp_path, anyway=True).rows == 7
    assert not (tmp_path / "leie.part").exists()


def test_an_index_of_another_form_or_none_at_all_counts_as_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "nppes.sqlite").write_bytes(b"no index")
    load("leie", LEIE, tmp_path, anyway=True)
    with sqlite3.connect(tmp_path / "leie.sqlite") as index:
        index.execute("UPDATE about SET form = 0")
    index.close()
    assert edition("nppes", tmp_path) is None
    assert edition("leie", tmp_path) is None
