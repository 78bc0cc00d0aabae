"""`python -m workers.cli`: picks the command; without it every command would be a script of its own."""

import argparse
import errno
import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from workers.cli.errors import Refused
from workers.cli.state import ROOT

COMMANDS = {
    "up": ("workers.cli.up", "start everything and keep it running until Ctrl-C"),
    "test": ("workers.cli.testing", "lint, type check and run the whole test suite on servers of its own"),
    "demo": ("workers.cli.playing", "drive one clinic day end to end; the exit code is the verdict"),
    "bench": ("workers.cli.benching", "run the benchmarks, or one by NAME"),
    "fuzz": ("workers.cli.fuzzing", "throw hostile HL7 and X12 at every reader, for as many seconds as asked"),
    "send": ("workers.cli.send", "send an HL7 file to an MLLP listener and print the acknowledgement"),
    "ingest": ("workers.cli.ingesting", "take in HL7 files and folders without the network"),
    "export": ("workers.cli.exporting", "write the clinic's data as FHIR R4 into a folder"),
    "sbom": ("workers.cli.sbom", "list every package and program of an install, with hashes (CycloneDX)"),
    "secrets": ("workers.cli.secret_files", "make the secret files docker-compose.yml asks for"),
    "manage": ("workers.cli.managing", "run a Django command in the environment of this checkout"),
}


def main(words: list[str]) -> int:
    options = parser().parse_args(words[:1])
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that every block cleans up what it started
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, end)
    try:
        return int(importlib.import_module(COMMANDS[options.command][0]).run(words[1:]))
    except Refused as refusal:
        return complain(str(refusal))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return complain("The disk is full. Free some space and run the command again; the data is intact.")
        return complain(": ".join(filter(None, (error.strerror, error.filename))) or str(error))


def end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def parser() -> argparse.ArgumentParser:
    lines = [f"  {name:8} {about}" for name, (_, about) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="carerelay",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The integration and workflow backend of a clinic.\n\ncommands:\n" + "\n".join(lines),
        epilog="`./carerelay COMMAND --help` tells more about each.",
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return parser


def complain(sentence: str) -> int:
    print(f"carerelay: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
