"""Takes in HL7 files and folders without the network: the same store, the same queue, each message accounted for."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import django
from rich.progress import Progress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from backend.apps.laboratory.models import InboundMessage  # noqa: E402  # models load only after django.setup()
from integrations.hl7.reader import messages  # noqa: E402  # kept together with the line above
from workers.inbound import Arrival, store  # noqa: E402  # models load only after django.setup()
from workers.lab_results import file  # noqa: E402  # models load only after django.setup()
from workers.runner import drain  # noqa: E402  # models load only after django.setup()

BATCH = 200
LARGEST = 20 * 1024 * 1024  # bytes of one file


def main(paths: Sequence[str]) -> int:
    """Store and file every message under `paths`; print how each ended; 0 when none was lost."""
    found = [path for name in paths for path in files(Path(name))]
    if not found:
        sys.stderr.write("There are no files there.\n")
        return 1
    taken, skipped = 0, list[Path]()
    with Progress(disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("taking in", total=len(found))
        for path in found:
            bar.advance(task)
            if path.stat().st_size > LARGEST:
                skipped.append(path)
                continue
            content = path.read_bytes()
            arrivals = [Arrival(raw, "file") for raw in messages(content) or [content]]
            for start in range(0, len(arrivals), BATCH):
                taken += len(store(arrivals[start : start + BATCH]))
    while drain(InboundMessage, file) != "nothing due":
        continue
    report(taken, skipped)
    return 1 if skipped else 0


def files(path: Path) -> Iterator[Path]:
    """Yield `path` itself, or every file below it, in order; hidden files are left out."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (below for below in sorted(path.rglob("*")) if below.is_file() and not below.name.startswith("."))


def report(taken: int, skipped: Sequence[Path]) -> None:
    rows = InboundMessage.objects.filter(peer="file").values_list("status", "status_reason")
    sys.stdout.write(f"Took in {taken} messages. All messages taken from files so far:\n")
    for (status, reason), count in sorted(Counter(rows).items()):
        sys.stdout.write(f"{count:7}  {status}  {reason}\n")
    for path in skipped:
        sys.stdout.write(f"Skipped {path.name}: larger than {LARGEST // 2**20} MB.\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
