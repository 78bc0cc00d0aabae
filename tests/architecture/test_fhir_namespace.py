"""Holds that only the R4B models of fhir.resources are used: its other names are R5 and lose data without a word."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("backend", "workers", "integrations", "tests")


def wrong(source: str) -> list[str]:
    """Return what a module imports of fhir.resources outside R4B."""
    return [
        name
        for name in imported(ast.parse(source))
        if f"{name}.".startswith("fhir.") and not f"{name}.".startswith("fhir.resources.R4B.")
    ]


def imported(tree: ast.AST) -> Iterator[str]:
    """Return the full names a module imports, also those it hands to import_module as a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Name("import_module") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_nobody_imports_another_release_of_fhir() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT)): names
        for path in files
        if "fhir" in path.read_text() and (names := wrong(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "from fhir.resources.patient import Patient",
        "import fhir.resources",
        "from fhir import resources",
        "from fhir.resources import get_fhir_model_class",
        "from fhir.resources.STU3.patient import Patient",
        "from fhir.resources.R4BX import patient",
        "importlib.import_module('fhir.resources.patient')",
    ],
)
def test_another_release_would_be_noticed(line: str) -> None:
    assert wrong(line)


@pytest.mark.parametrize(
    "line", ["from fhir.resources.R4B import get_fhir_model_class", "import fhir.resources.R4B.patient"]
)
def test_r4_is_welcome(line: str) -> None:
    assert wrong(line) == []
