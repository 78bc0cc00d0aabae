"""`carerelay ingest`: HL7 files and folders through the same stored path as messages from the network."""

import argparse

from workers.cli import files, stack


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay ingest", description="Take in HL7 files; a folder means every file in it, at any depth."
    )
    parser.add_argument("paths", nargs="+", metavar="PATH")
    paths = [str(files.existing(path)) for path in parser.parse_args(words).paths]
    with stack.beside() as env:
        return stack.in_terminal(stack.module("workers.ingest", paths), env)
