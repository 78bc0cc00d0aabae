"""`carerelay export`: a bulk export into a folder, without a client or a token."""

from __future__ import annotations

import argparse
from pathlib import Path

from workers.cli import files, stack, state
from workers.cli.errors import Refused
from workers.cli.ingesting import make_tables


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay export",
        description="Write the clinic's data as FHIR R4 into a new folder: NDJSON, a type to a file, and a manifest. "
        "The folder appears when all of it is written. Exit code 1 when the export failed.",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder that is not there yet, or empty")
    parser.add_argument("--since", metavar="WHEN", help="what changed since: 2026-01-31 (UTC) or a time stamp")
    parser.add_argument("--type", action="append", default=[], metavar="TYPE", help="only this type; may be repeated")
    options = parser.parse_args(words)
    target = empty(options.out)
    asked = [f"--type={name}" for name in options.type] + ([f"--since={options.since}"] if options.since else [])
    running = state.read_running(state.state_folder())
    with stack.beside() as env:
        if not running:
            make_tables(env)
        return stack.in_terminal(stack.module("workers.fhir.to_folder", [str(target), *asked]), env)


def empty(name: str) -> Path:
    """Return the folder meant; refuse one that holds something, for two exports would mix there."""
    target = files.from_caller(name).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{name} is not empty. Name a folder that is not there yet.")
    if not target.parent.is_dir():
        raise Refused(f"There is no folder {target.parent} to make it in.")
    return target
