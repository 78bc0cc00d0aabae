"""`carerelay ingest`: HL7 files and folders through the same stored path as messages from the network."""

import argparse
from collections.abc import Mapping

from workers.cli import files, stack, state
from workers.cli.errors import Refused


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay ingest",
        description="Take in HL7 files; a folder means every file in it, at any depth; .gz and .zip are opened. Every "
        "message ends filed, on the worklist with a reason, or refused with a reason; the same files may be taken in "
        "again. Exit code 1 when a file could not be taken whole.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH")
    paths = [str(files.existing(path)) for path in parser.parse_args(words).paths]
    running = state.read_running(state.state_folder())
    with stack.beside() as env:
        if not running:
            make_tables(env)
        return stack.in_terminal(stack.module("workers.ingest", paths), env)


def make_tables(env: Mapping[str, str]) -> None:
    """Bring an embedded database up to date; a database of the caller's is looked at and left alone."""
    own = not stack.secret(state.settings_of_caller(), "DATABASE_URL")
    words = ["migrate", "--noinput", "-v", "0"] if own else ["migrate", "--check", "-v", "0"]
    if stack.in_terminal(stack.manage(words), env):
        raise Refused("The tables of this database are not up to date. Run `./carerelay manage migrate` first.")
