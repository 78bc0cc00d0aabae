"""`./carerelay fuzz`: throws hostile input at every reader for as long as it is told, and ten megabytes of each bomb.

What a reader does not bear is kept in a file, so that it can be read again, and named; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import gettempdir

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests.integrations.fuzz import damage
from tests.integrations.fuzz.bombs import BOMBS, is_over

SIZE = 10  # megabytes
COLUMNS = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())


def main(words: list[str]) -> int:
    options = parser().parse_args(words)
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        faults = [*bombed(progress), *thrown(progress, options.seconds, options.seed, options.keep)]
    print(*faults, sep="\n") if faults else print("Every reader bore all of it.")
    return 1 if faults else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="carerelay fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long damaged input is thrown (default 60)")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="begin with this number, to throw it again")
    parser.add_argument(
        "--keep", type=Path, default=Path(gettempdir()), metavar="FOLDER", help="where what was not borne goes"
    )
    return parser


def bombed(progress: Progress) -> list[str]:
    """Read each bomb; return what took more time or memory than its size explains, and what broke its reader."""
    faults, all_of_them = list[str](), [(reader, name) for reader, names in BOMBS.items() for name in names]
    bar = progress.add_task("bombs of 10 MB", total=len(all_of_them), told="")
    for reader, name in all_of_them:
        progress.update(bar, told=f"{reader}: {name}")
        words = [sys.executable, "-m", "tests.integrations.fuzz.bombs", reader, str(SIZE * 1_000_000), name]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        told = json.loads(done.stdout or "{}")
        if "seconds" not in told or is_over(told, SIZE):
            faults.append(f"{reader}, {name}: {told or done.stderr[-500:]}")
        progress.advance(bar)
    return faults


def thrown(progress: Progress, seconds: float, seed: int, folder: Path) -> list[str]:
    """Throw damaged samples for so many seconds; return the first that was not borne of each kind."""
    faults, count, began = dict[str, str](), 0, time.monotonic()
    bar = progress.add_task("damaged samples", total=seconds, told="")
    while (spent := time.monotonic() - began) < seconds:
        for kind in damage.KINDS.keys() - faults:
            raw = damage.one(kind, seed + count)
            try:
                damage.KINDS[kind][1](raw)
            except Exception as error:  # noqa: BLE001  # what must not come out is just what nobody foresaw
                path = folder / f"not-borne-{seed + count}.{kind}"
                path.write_bytes(raw)
                faults[kind] = f"{kind}: {type(error).__name__}, seed {seed + count}, see {path}"
        count += 1
        progress.update(bar, completed=spent, told=f"{count:,} of each kind")
    progress.update(bar, completed=seconds)
    return list(faults.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
