"""Takes in HL7 files and folders without the network: the same store, the same queue, each message accounted for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import django
from django.db.models import Count
from rich.progress import Progress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from backend.apps.laboratory.models import InboundMessage  # noqa: E402  # models load only after django.setup()
from integrations.hl7.mllp import START, Deframer  # noqa: E402  # kept together with the line above
from integrations.hl7.batch import messages  # noqa: E402  # kept together with the line above
from workers.inbound import Arrival, store  # noqa: E402  # models load only after django.setup()
from workers.lab_results import file  # noqa: E402  # models load only after django.setup()
from workers.runner import HandlerBug, drain  # noqa: E402  # models load only after django.setup()

BATCH = 200
LARGEST = 20 * 1024 * 1024  # bytes of one file


def main(paths: Sequence[str]) -> int:
    """Store and file every message under `paths`; print how each ended; 0 when none was lost."""
    found = [path for name in paths for path in files(Path(name))]
    if not found:
        sys.stderr.write("There are no files there.\n")
        return 1
    taken, skipped, before = 0, dict[Path, str](), InboundMessage.objects.count()
    with Progress(disable=not sys.stdout.isatty()) as bar:
        for path in bar.track(found, description="taking in"):
            try:
                taken += take(path)
            except (OSError, TooLarge) as error:
                skipped[path] = str(getattr(error, "strerror", None) or error)
    new = InboundMessage.objects.count() - before
    file_all()
    sys.stdout.write(f"Took in {taken} messages: {new} new, {taken - new} stored before. ")
    report(skipped)
    return 1 if skipped else 0


class TooLarge(ValueError):
    """A file that is larger than any message."""


def take(path: Path) -> int:
    """Store the messages of one file, or the file as it is when it holds none; return how many they are."""
    if path.stat().st_size > LARGEST:
        raise TooLarge(f"larger than {LARGEST // 2**20} MB")
    content = path.read_bytes()
    captured = Deframer(LARGEST).feed(content) if content.startswith(START) else []  # saved as it was on the wire
    arrivals = [Arrival(raw, "file") for raw in captured or messages(content) or [content]]
    return sum(len(store(arrivals[start : start + BATCH])) for start in range(0, len(arrivals), BATCH))


def file_all() -> None:
    """File what is due, here and now; a message whose filing broke is back in line and does not stop the others."""
    told = ""
    while told != "nothing due":
        try:
            told = drain(InboundMessage, file)
        except HandlerBug as bug:
            told = str(bug)


def files(path: Path) -> Iterator[Path]:
    """Yield `path` itself, or every file below it, in order; hidden files are left out."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (below for below in sorted(path.rglob("*")) if below.is_file() and not below.name.startswith("."))


def report(skipped: Mapping[Path, str]) -> None:
    rows = InboundMessage.objects.filter(peer="file").values_list("status", "status_reason")
    counted = rows.annotate(count=Count("pk")).order_by("status", "status_reason")
    sys.stdout.write("All messages taken from files so far:\n")
    for status, reason, count in counted:
        sys.stdout.write(f"{count:7}  {status}  {reason}\n")
    for path, why in skipped.items():
        sys.stdout.write(f"Skipped {path.name}: {why}.\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
