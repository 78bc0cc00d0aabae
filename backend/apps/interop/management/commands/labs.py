"""The lab inbox on a terminal: list, explain, replay; without it a server without a browser could not be tended."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from backend.apps.core.exceptions import DomainError
from backend.apps.core.work import WorkState
from backend.apps.interop.moments import moment
from backend.apps.laboratory import replays
from backend.apps.laboratory.models import InboundMessage, InboundStatus, LabFeed, LabReplay, ReplayStatus
from integrations.hl7.batch import messages
from integrations.hl7.explain import explain

PATIENCE_S = 30.0  # until a worker has to have begun
LOOK_AGAIN_S = 0.5
MOST_SHOWN = 20


class Command(BaseCommand):
    help = "Look after laboratory messages: labs list, labs explain FILE, labs replay. Nothing printed names a patient."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="what", required=True)
        listing = kinds.add_parser("list", help="list stored messages, newest first")
        listing.add_argument("--limit", type=int, default=50, help="how many (default 50)")
        explaining = kinds.add_parser("explain", help="explain an HL7 file field by field, masked")
        explaining.add_argument("file", type=Path, metavar="FILE")
        explaining.add_argument("--reveal", action="store_true", help="show what tells of a patient")
        replaying = kinds.add_parser("replay", help="file stored messages once more, after a dry run")
        replaying.add_argument("--ids", nargs="+", type=UUID, metavar="ID", help="these messages and no others")
        replaying.add_argument("--dry-run", action="store_true", help="only show what would change")
        replaying.add_argument("--yes", action="store_true", help="do not ask after the dry run")
        for each in (listing, replaying):
            each.add_argument("--feed", help='name of a feed, or "none"')
            each.add_argument(
                "--since", help="received at or after, as 2026-03-01 (of the clinic) or 2026-03-01T08:00Z"
            )
            each.add_argument("--until", help="received before")
            each.add_argument(
                "--state", action="append", choices=InboundStatus.values, help="may be given several times"
            )
            each.add_argument("--control-id", help="MSH-10")
            each.add_argument("--error", help="words of the reason why it was not filed")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        try:
            {"list": self.list, "explain": self.explain, "replay": self.replay}[what](options)
        except DomainError as refusal:
            raise CommandError(str(refusal)) from refusal
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from refusal

    def list(self, options: dict[str, Any]) -> None:
        rows = replays.chosen(filter_of(options), by=None).select_related("feed").defer("raw", "ack_sent")
        for row in rows.order_by("-received_at", "id")[: options["limit"]]:
            self.stdout.write(line(row))

    def explain(self, options: dict[str, Any]) -> None:
        try:
            raw = options["file"].read_bytes()
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from error
        for place, one in enumerate(messages(raw) or [raw], start=1):
            told = explain(one, masked=not options["reveal"])
            self.stdout.write(f"Message {place}, {len(one):,} bytes, {len(told.findings)} findings")
            self.stdout.write(told.told or "\n".join(finding.message for finding in told.findings))

    def replay(self, options: dict[str, Any]) -> None:
        """Try, tell, ask, and do it; every step is a row that goes on without this command."""
        if options["ids"] is not None:
            asked: dict[str, Any] = {"messages": options["ids"]}
        else:
            asked = {"filter": filter_of(options)}
        dry = self.follow(replays.request(by=None, dry_run=True, **asked))
        self.tell(dry)
        if options["dry_run"]:
            return
        if not (options["yes"] or self.agreed(dry)):
            raise CommandError("Nothing was filed. To file without being asked, give --yes.")
        self.tell(self.follow(replays.apply(dry, by=None)))

    def agreed(self, dry: LabReplay) -> bool:
        return sys.stdin.isatty() and input(f"File these {dry.total:,} messages now? [y/N] ").strip().lower() in {
            "y",
            "yes",
        }

    def follow(self, replay: LabReplay) -> LabReplay:
        """Show the progress until the replay has ended; refuse when it did not end well or nobody works on it."""
        what = "dry run" if replay.dry_run else "replay"
        with Progress(disable=not sys.stdout.isatty()) as bar:
            task = bar.add_task(what, total=replay.total)
            for row in looks(replay):
                bar.update(task, completed=row.done)
        if not sys.stdout.isatty():
            self.stdout.write(f"{what} {row.pk}: {row.done:,} of {row.total:,} messages done, {row.status}")
        if row.status == ReplayStatus.PENDING:
            raise CommandError(f"No worker has begun with {what} {row.pk} within {PATIENCE_S:.0f} s. It stays in line.")
        if row.status != ReplayStatus.FINISHED:
            raise CommandError(f"The {what} was {row.status}. {row.last_error}".strip())
        return row

    def tell(self, replay: LabReplay) -> None:
        """Print how the messages ended and where the charts differ, without values."""
        ended = ", ".join(f"{count:,} {status}" for status, count in replays.outcomes(replay).items())
        self.stdout.write(f"Messages: {ended}")
        counts = f"{replay.appears:,} appear, {replay.changes:,} change, {replay.disappears:,} disappear"
        self.stdout.write(f"Charts: {counts if replay.differs else 'no difference'}")
        for entry in replays.difference(replay, most=MOST_SHOWN):
            self.stdout.write(f"  {told(entry)}")
        if replay.differs > MOST_SHOWN:
            self.stdout.write(f"  and {replay.differs - MOST_SHOWN:,} more; the console shows them, with values")


def looks(replay: LabReplay) -> Iterator[LabReplay]:
    """Yield the replay as it stands, again and again, until it has ended or nobody has begun with it for too long."""
    began = time.monotonic()
    while True:
        row = LabReplay.objects.get(pk=replay.pk)
        yield row
        untouched = row.work_state == WorkState.WAITING and not row.lease_no
        if row.status != ReplayStatus.PENDING or (untouched and time.monotonic() - began > PATIENCE_S):
            return
        time.sleep(LOOK_AGAIN_S)


def filter_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options as a filter of the inbox."""
    feed = options["feed"]
    if feed not in {None, "none"}:
        feed = LabFeed.objects.filter(name=feed).values_list("pk", flat=True).first()
        if feed is None:
            raise CommandError("There is no feed of this name.")
    named = {
        "feed": feed,
        "status": options["state"],
        "received_at__gte": moment(options["since"], "--since"),
        "received_at__lt": moment(options["until"], "--until"),
        "control_id": options["control_id"],
        "error": options["error"],
    }
    return {name: value for name, value in named.items() if value is not None}


def told(entry: dict[str, Any]) -> str:
    """Return one place of difference without a value: what it is, its status, and which fields changed."""
    order = entry["order"] or "a new order"
    named = f"{entry['code']} version {entry['version']} in {order}" if entry["kind"] == "result" else order
    fields = entry["after"] or entry["before"] or {}
    more = ", ".join(sorted(fields)) if entry["change"] == "changes" else fields.get("status", "")
    return f"{entry['change']:10}  {named}: {more}"


def line(row: InboundMessage) -> str:
    when, sender = f"{row.received_at:%Y-%m-%d %H:%M:%S} UTC", row.feed.name if row.feed else row.sender or "unknown"
    told = f"{row.pk}  {when}  {row.status:9}  {sender}  {row.message_type}  {row.control_id}"
    return f"{told}  {row.status_reason}".rstrip()
