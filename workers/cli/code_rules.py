"""Holds the code to the rules of `.ci/semgrep.yml`, and the rules to their samples: one that cannot fire is a fault.

The program is large and wants libraries of its own, so it lives beside `.venv`, installed from a lock of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from workers.cli import bootstrap
from workers.cli.errors import Refused
from workers.cli.state import ROOT

RULES, LOCK = Path(".ci/semgrep.yml"), Path(".ci/semgrep.lock")
SAMPLES = (Path(".ci/semgrep.py"), Path(".ci/semgrep.html"))
PRODUCT = ("backend", "workers", "integrations")
LEFT_OUT = ("tests", "migrations")
TOOL = bootstrap.STATE / "tools" / "semgrep"
QUIET = ("--metrics=off", "--disable-version-check", "--no-git-ignore", "--quiet", "--json", "--jobs=2")
EXPECTED = re.compile(r"\bruleid: ([\w-]+)")
LET = re.compile(r"nosemgrep(?P<rule>: [\w-]+)?(?P<why> *# *\w.+)?")
ENOUGH = 500  # files; fewer were read by mistake


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    message: str = ""


def main() -> int:
    try:
        told = scan(program())
    except Refused as refusal:
        print(refusal)
        return 1
    faults = [*told.errors, *of_code(told.found), *of_rules(told.found, names(), written()), *of_marks(marks())]
    print(*faults, sep="\n") if faults else print(f"{len(names())} rules, {told.files} files, nothing found")
    return 1 if faults else 0


class Told(NamedTuple):
    found: list[Finding]
    files: int
    errors: list[str]


def scan(path: Path) -> Told:
    """Try every rule on the product and on the samples, in one run: most of its time is the start of the program."""
    left_out = [word for name in LEFT_OUT for word in ("--exclude", name)]
    words = [str(path), "scan", *QUIET, *left_out, "--config", str(RULES), *map(str, SAMPLES), *PRODUCT]
    own = {"SEMGREP_SETTINGS_FILE": str(TOOL / "settings.yml"), "SEMGREP_LOG_FILE": str(TOOL / "log")}
    path_first = f"{path.parent}{os.pathsep}{os.environ.get('PATH', '')}"  # it starts its own helper by name
    env = {**os.environ, **own, "PATH": path_first}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise Refused(f"semgrep failed: {(done.stderr or done.stdout).strip()[-2000:]}") from None
    found = [
        Finding(each["path"], each["start"]["line"], each["check_id"].rpartition(".")[2], each["extra"]["message"])
        for each in answer["results"]
    ]
    files = len(answer["paths"]["scanned"])
    few = [f"only {files} files were read"] if files < ENOUGH else []
    return Told(found, files, [*few, *(str(error.get("message") or error) for error in answer["errors"])])


def of_code(found: Iterable[Finding]) -> list[str]:
    samples = {str(path) for path in SAMPLES}
    return [f"{each.path}:{each.line}: {each.rule}: {each.message}" for each in found if each.path not in samples]


def of_rules(found: Iterable[Finding], rules: Iterable[str], wanted: set[Finding]) -> list[str]:
    """Return where a rule and its samples differ; every rule has at least one bad line that it finds."""
    samples = {str(path) for path in SAMPLES}
    got = {Finding(each.path, each.line, each.rule) for each in found if each.path in samples}
    return [
        *(f"{each.path}:{each.line}: {each.rule} does not find this line" for each in sorted(wanted - got)),
        *(f"{each.path}:{each.line}: {each.rule} finds this line, which is good" for each in sorted(got - wanted)),
        *(f"{RULES}: {rule} has no bad line" for rule in sorted(set(rules) - {each.rule for each in wanted})),
    ]


def of_marks(marked: Iterable[tuple[str, int, str]]) -> list[str]:
    """Return the marks that let more than one rule pass, or say no reason."""
    return [
        f"{path}:{line}: a mark reads `nosemgrep: RULE  # why`"
        for path, line, text in marked
        if (mark := LET.search(text)) and not (mark["rule"] and mark["why"])
    ]


def names() -> list[str]:
    return re.findall(r"^ +- id: ([\w-]+)$", (ROOT / RULES).read_text(), re.MULTILINE)


def written() -> set[Finding]:
    """Return the lines of the samples that a rule must find: each follows a line that names the rule."""
    return {
        Finding(str(path), number + 1, name)
        for path in SAMPLES
        for number, text in enumerate((ROOT / path).read_text().splitlines(), 1)
        for name in EXPECTED.findall(text)
    }


def marks() -> Iterable[tuple[str, int, str]]:
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.[ph][yt]*"):
            if path.suffix in {".py", ".html"} and path != Path(__file__):
                for number, text in enumerate(path.read_text().splitlines(), 1):
                    if "nosemgrep" in text:
                        yield str(path.relative_to(ROOT)), number, text


def program() -> Path:
    """Return the installed program; install it when its lock is not the one it was installed from.

    Raises:
        Refused: it cannot be installed here, as without a package registry.
    """
    done, wanted = TOOL / ".installed", str(zlib.crc32((ROOT / LOCK).read_bytes()))
    if not (done.exists() and done.read_text() == wanted):
        shutil.rmtree(TOOL, ignore_errors=True)
        TOOL.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        install()
        done.write_text(wanted)
    return TOOL / "bin" / "semgrep"


def install() -> None:
    uv, env = [sys.executable, "-m", "uv"], bootstrap.uv_environment()
    words = ["pip", "install", "-q", "--require-hashes", "--python", str(TOOL / "bin" / "python"), "-r", str(LOCK)]
    made = bootstrap.call([*uv, "venv", "-q", "--python", sys.executable, str(TOOL)], env=env)
    if not (made and bootstrap.call([*uv, *words], env=env)):
        raise Refused("semgrep cannot be installed, so the rules of the code are not checked; the lines above say why.")


if __name__ == "__main__":
    sys.exit(main())
