"""Holds the sizes that keep the code readable: functions under 50 lines, files under 400, one opening sentence."""

import ast
import pathlib
import statistics

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("backend", "workers", "integrations", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def functions(path: pathlib.Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [(node.name, node.end_lineno - node.lineno + 1) for node in ast.walk(tree) if isinstance(node, kinds)]


def faults(path: pathlib.Path) -> list[str]:
    text = path.read_text()
    long = [f"{name} has {lines} lines" for name, lines in functions(path) if lines > 50]
    if (lines := text.count("\n")) > 400:
        long.append(f"{lines} lines")
    if text.strip() and path.name != "__init__.py" and not ast.get_docstring(ast.parse(text)):
        long.append("does not begin with a sentence")
    return [f"{path.relative_to(ROOT)}: {fault}" for fault in long]


def test_files_and_their_functions_stay_small_and_say_why_they_exist() -> None:
    assert len(FILES) > 900
    assert [fault for path in FILES for fault in faults(path)] == []


def test_the_median_function_is_short() -> None:
    lengths = [length for path in FILES if "tests" not in path.parts for _, length in functions(path)]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=10)[-1] <= 25


def test_nobody_imports_inside_a_function() -> None:
    inside = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []
