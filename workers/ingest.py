"""Takes in HL7 files and folders without the network: the same store, the same queue, each message accounted for."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import django
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from backend.apps.laboratory.keys import key_of
from integrations.hl7.head import read_head

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from backend.apps.laboratory.models import InboundMessage, InboundStatus  # noqa: E402  # models load after setup()
from workers import hl7_files, inbound, intake  # noqa: E402  # models load only after django.setup()
from workers.lab_results import file_due  # noqa: E402  # models load only after django.setup()
from workers.runner import HandlerBug  # noqa: E402  # models load only after django.setup()

BATCH, BATCH_BYTES = 200, 32 * 1024 * 1024  # of one commit
PATIENCE_S = 60.0  # how long to wait for other workers that are filing what came in here
SAY_EVERY_S = 5.0  # a line about the progress where there is no terminal

Outcome = tuple[str, str]  # status, reason


class Run:
    """What came in during this run and how it ended; nothing of a message is kept, so memory stays flat."""

    def __init__(self) -> None:
        self.messages = self.new = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.notes: list[tuple[str, str]] = []  # file, what is odd about it
        self.skipped: list[tuple[str, str]] = []  # file, why
        self._open: dict[str, int] = {}  # keys that are not filed yet, and how many messages they were

    def note(self, name: str, what: str) -> None:
        self.notes.append((name, what))

    def take(self, raws: Sequence[bytes]) -> None:
        """Store some messages in one commit and file what is due."""
        arrivals = [intake.Arrival(raw, "file", intake.FILE) for raw in raws]
        keys = Counter(dedupe_key(raw) for raw in raws)
        known = set(InboundMessage.all_objects.filter(dedupe_key__in=keys).values_list("dedupe_key", flat=True))
        inbound.store(arrivals)
        self.messages += len(raws)
        self.new += len(keys.keys() - known)
        self._open.update({key: self._open.get(key, 0) + count for key, count in keys.items()})
        file_all()
        self.settle()

    def settle(self) -> None:
        """Count the outcomes of what has been filed since the last look."""
        for start in range(0, len(self._open), 10 * BATCH):
            keys = list(islice(self._open, start, start + 10 * BATCH))
            rows = InboundMessage.all_objects.filter(dedupe_key__in=keys).exclude(status=InboundStatus.RECEIVED)
            for key, status, reason in list(rows.values_list("dedupe_key", "status", "status_reason")):
                self.outcomes[str(status), reason] += self._open[key]
                self._open[key] = 0
        self._open = {key: count for key, count in self._open.items() if count}

    def wait(self, within_s: float) -> None:
        """Let workers that run beside us end what they took; what breaks again and again stays in line."""
        deadline = time.monotonic() + within_s
        while self._open and self._leased() and time.monotonic() < deadline:
            time.sleep(0.2)
            file_all()
            self.settle()
        self.outcomes.update(
            {("received", "It is in line to be filed."): sum(self._open.values())} if self._open else {}
        )

    def _leased(self) -> bool:
        return InboundMessage.work.filter(dedupe_key__in=list(self._open), work_state="running").exists()


def main(paths: Sequence[str]) -> int:
    """Store and file every message under `paths`; print how each ended; 0 when none was lost."""
    found = [source for name in paths for source in hl7_files.sources(Path(name))]
    if not found:
        sys.stderr.write("There are no files there.\n")
        return 1
    run = Run()
    with Teller(sum(source.size for source in found), len(found)) as teller:
        for group in batches(everything(run, found, teller)):
            run.take(group)
            teller.so_far(run.messages)
    run.wait(PATIENCE_S)
    report(run)
    return 1 if run.skipped else 0


def everything(run: Run, found: Iterable[hl7_files.Source], teller: Teller) -> Iterator[bytes]:
    """Yield every message of every file; note what cannot be taken and go on."""
    for source in found:
        watched = source._replace(open=partial(hl7_files.watched, source.open, teller.read))
        try:
            yield from hl7_files.messages(watched, partial(run.note, source.name))
        except hl7_files.Skip as why:
            run.skipped.append((source.name, str(why)))
        teller.done(source.size)


def batches(raws: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the messages in groups of one commit each."""
    group, size = list[bytes](), 0
    for raw in raws:
        group.append(raw)
        size += len(raw)
        if len(group) >= BATCH or size >= BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def dedupe_key(raw: bytes) -> str:
    """Return the key under which a message is stored once."""
    return key_of(*intake.names_of(read_head(raw)), hashlib.sha256(raw).hexdigest())


def file_all() -> None:
    """File what is due, here and now; a message whose filing broke is back in line and does not stop the others."""
    told = ""
    while told != "nothing due":
        try:
            told = file_due()
        except HandlerBug as bug:
            told = str(bug)


class Teller:
    """A progress bar on a terminal, a line now and then elsewhere."""

    def __init__(self, size: int, files: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[messages]:,} messages"), disable=not is_terminal())
        self._task = self._bar.add_task("taking in", total=size, messages=0)
        self._files, self._done, self._size, self._said_at = files, 0, 0, time.monotonic()

    def __enter__(self) -> Teller:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def so_far(self, messages: int) -> None:
        self._bar.update(self._task, messages=messages)
        if not is_terminal() and time.monotonic() - self._said_at > SAY_EVERY_S:
            self._said_at = time.monotonic()
            sys.stdout.write(f"{messages} messages so far, {self._done} of {self._files} files\n")
            sys.stdout.flush()

    def read(self, count: int) -> None:
        self._bar.update(self._task, advance=count)

    def done(self, size: int) -> None:
        self._done += 1
        self._size += size
        self._bar.update(self._task, completed=self._size)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def report(run: Run) -> None:
    say = sys.stdout.write
    before = run.messages - run.new
    say(f"Took in {run.messages} messages: {run.new} new, {before} stored before.\n")
    for (status, reason), count in sorted(run.outcomes.items(), key=lambda item: (item[0][0], -item[1], item[0][1])):
        say(f"{count:7}  {status:9}  {reason}".rstrip() + "\n")
    for name, what in run.notes:
        say(f"Note on {name}: {what}.\n")
    for name, why in run.skipped:
        say(f"Skipped {name}: {why}.\n")
    if run.messages and not run.new:
        say("Everything was stored before.\n")
    say("None was lost.\n" if not run.skipped else f"{len(run.skipped)} files could not be taken whole.\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
