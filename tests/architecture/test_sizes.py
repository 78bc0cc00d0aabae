"""Holds the sizes that keep the code readable: functions under 50 lines, files under 400, one opening sentence."""

import ast
import functools
import pathlib
import statistics
from collections.abc import Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("backend", "workers", "integrations", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


class Shape(NamedTuple):
    """What is asked of one file; its tree, which is large, is not kept."""

    lines: int
    opens_with_a_sentence: bool
    functions: list[tuple[str, int]]
    imports_inside: set[int]


@functools.cache
def shape(path: pathlib.Path) -> Shape:
    text = path.read_text()
    tree = ast.parse(text)
    functions = [
        (node.name, node.end_lineno - node.lineno + 1) for node in ast.walk(tree) if isinstance(node, FUNCTION)
    ]
    has_none = not text.strip() or path.name == "__init__.py"
    return Shape(
        text.count("\n"), has_none or bool(ast.get_docstring(tree)), functions, set(imports_inside(tree, inside=False))
    )


def imports_inside(node: ast.AST, *, inside: bool) -> Iterator[int]:
    """Yield the lines of imports that stand in a function. An import is a statement: expressions are not looked at."""
    for child in ast.iter_child_nodes(node):
        if inside and isinstance(child, ast.Import | ast.ImportFrom):
            yield child.lineno
        elif not isinstance(child, ast.expr):
            yield from imports_inside(child, inside=inside or isinstance(child, FUNCTION))


def faults(path: pathlib.Path) -> list[str]:
    found = shape(path)
    long = [f"{name} has {lines} lines" for name, lines in found.functions if lines > 50]
    if found.lines > 400:
        long.append(f"{found.lines} lines")
    if not found.opens_with_a_sentence:
        long.append("does not begin with a sentence")
    return [f"{path.relative_to(ROOT)}: {fault}" for fault in long]


def test_files_and_their_functions_stay_small_and_say_why_they_exist() -> None:
    assert len(FILES) > 900
    assert [fault for path in FILES for fault in faults(path)] == []


def test_the_median_function_is_short() -> None:
    lengths = [length for path in FILES if "tests" not in path.parts for _, length in shape(path).functions]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=10)[-1] <= 25


def test_nobody_imports_inside_a_function() -> None:
    assert [f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in sorted(shape(path).imports_inside)] == []
