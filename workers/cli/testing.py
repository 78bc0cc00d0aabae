"""`carerelay test`: every check of the project on servers of its own; CI and people run the same."""

import argparse
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from workers.cli import console, stack
from workers.cli.state import ROOT

PURE = ("pytest", "-q", "-n", "2", "-p", "no:django", "tests/integrations")
SUITE = (
    *("pytest", "-n", "2", "--dist", "loadgroup", "--ignore=tests/integrations"),
    *("backend", "workers", "integrations", "tests"),
)
BANDIT = ("-m", "bandit", "-q", "-c", "pyproject.toml", "-r", "backend", "workers", "integrations")
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


@dataclass(frozen=True)
class Check:
    """One step. Its words follow `python`."""

    title: str
    words: tuple[str, ...]


TABLES = ("backend/manage.py", "migrate", "--noinput", "-v", "0")
LEFT_OUT = {
    "DJANGO_SETTINGS_MODULE",  # pytest-django has it from pyproject.toml; named, it would reach the run without Django
    "PYTHONDONTWRITEBYTECODE",  # each of the many processes of the suite would compile all our modules anew
}
TEMPLATE = "CARERELAY_TEST_TEMPLATE"  # the database whose tables each process of the suite copies
# Those of one lane run one after the other, the lanes side by side; the suite then has the machine to itself.
LANES = (
    (
        Check("migrations", TABLES),
        Check("code rules", ("-m", "workers.cli.code_rules")),
        Check("bandit", BANDIT),
    ),
    (
        Check("ruff check", ("-m", "ruff", "check", ".")),
        Check("ruff format", ("-m", "ruff", "format", "--check", ".")),
        Check("mypy", ("-m", "mypy")),
        Check("import rules", ("-c", LINT_IMPORTS)),
    ),
    (Check("pytest without Django", ("-m", *PURE)),),
    (Check("browser", ("-m", "tests.support.browser")),),  # fetched meanwhile where there is none
)
Result = tuple[Check, int, float, str]


def run(words: list[str]) -> int:
    if {"-h", "--help"} & set(words):
        parser().print_help()
        return 0
    with stack.throwaway() as whole:
        env = {name: value for name, value in whole.items() if name not in LEFT_OUT}
        env["CARERELAY_ENV"] = "test"
        checked = [] if words else side_by_side(env)
        if not words:
            env[TEMPLATE] = urlsplit(env["DATABASE_URL"]).path.strip("/")
        suite = Check("pytest", ("-m", *(("pytest", *words) if words else SUITE)))
        return summarise([*checked, perform(suite, env)])


def side_by_side(env: Mapping[str, str]) -> list[Result]:
    """Run the lanes at once and print what each step said when it has ended."""
    with ThreadPoolExecutor(len(LANES)) as pool:
        return [
            result for lane in pool.map(lambda lane: [told(check, env) for check in lane], LANES) for result in lane
        ]


def told(check: Check, env: Mapping[str, str]) -> Result:
    said: list[bytes] = []
    result = perform(check, env, said.append)
    sys.stdout.buffer.write(b"".join(said))
    sys.stdout.flush()
    return result


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carerelay test",
        description="Without arguments: ruff, mypy, bandit, the rules of imports and of code, and the whole "
        "suite, on an own PostgreSQL and Redis that end with it. With arguments: pytest with these arguments on the "
        "same servers.",
    )
    parser.add_argument("pytest_words", nargs="*", metavar="PYTEST_ARG", help="for example: backend/apps/core -k lease")
    return parser


def passed_through(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()


def perform(check: Check, env: Mapping[str, str], say: Callable[[bytes], object] = passed_through) -> Result:
    """Run one step and say its lines; return it with its exit code, seconds and last line."""
    say(f"== {check.title}\n".encode())
    began = time.monotonic()
    last: deque[str] = deque(maxlen=1)
    command = [sys.executable, *check.words, *colour(check)]
    with subprocess.Popen(command, env=dict(env), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        for line in child.stdout or ():
            say(line)
            last.extend([line.decode(errors="replace").rstrip()] if line.strip() else [])
    return check, child.returncode, time.monotonic() - began, last[0] if last else ""


def colour(check: Check) -> tuple[str, ...]:
    return ("--color=yes",) if "pytest" in check.words and sys.stdout.isatty() else ()


def summarise(results: list[Result]) -> int:
    """Print a verdict per step and, last, pytest's own closing lines."""
    console.say("")
    for check, code, seconds, _ in results:
        console.say(f"{'passed' if code == 0 else 'FAILED'}  {check.title} ({seconds:.1f} s)")
    for check, _, _, closing in results:
        if "pytest" in check.words:
            console.say(closing)
    return 1 if any(code for _, code, _, _ in results) else 0
