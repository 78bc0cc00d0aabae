"""`carerelay demo`: one clinic day on the running stack or on one of its own."""

import argparse
import json
import random
import sys
from contextlib import redirect_stdout

from workers.cli import console, demo, demo_day, stack, stopping
from workers.cli.demo_bulk import Size
from workers.cli.errors import Refused, reason

USUAL = Size()
OF_A_DAY = ("seed", "reminders", "messages", "claims")


def run(words: list[str]) -> int:
    options = parser().parse_args(words)
    demo.check(options.names)
    try:
        with stopping.on_signals("Stopping...\n"):
            return played(options)
    except stopping.Stop as stop:
        return 128 + stop.number


def played(options: argparse.Namespace) -> int:
    """Play what the options ask for; refuse those that would mean nothing."""
    given = [f"--{name}" for name in OF_A_DAY if getattr(options, name) is not None]
    if options.names:
        given += [f"--{name}" for name in ("chaos", "json") if getattr(options, name)]
        if given:
            raise Refused(f"{given[0]} belongs to the whole day; leave the names of scenes away.")
    elif options.chaos or options.json or not stack.here():
        return whole_day(options)
    if given:
        raise Refused(
            f"{given[0]} belongs to a day on a stack of its own, and one runs here. Stop it, or add --chaos or --json."
        )
    with stack.running() as running:
        return demo.run(running, options.names)


def whole_day(options: argparse.Namespace) -> int:
    """Live through a day on a stack of its own; return 0 when nothing was lost, doubled or told otherwise."""
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    size = Size(**{name: getattr(options, name) or getattr(USUAL, name) for name in OF_A_DAY[1:]})
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        try:
            day = demo_day.play(seed=seed, chaos=options.chaos, size=size)
        except Exception as error:
            raise Refused(f"The day broke off. {reason(error)}") from error
        good = "Everything ended as it should." if day["good"] else "Something did not end as it should; see above."
        console.say(f"{good} {day['seconds']} s.")
    if options.json:
        console.say(json.dumps(day, indent=1))
    return 0 if day["good"] else 1


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carerelay demo",
        description="Drive one clinic day end to end on the stack that runs here, or on one started for it on free "
        "ports beside providers of its own, and print what happened. The exit code is the verdict.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these scenes (default: all)")
    parser.add_argument("--chaos", action="store_true", help="with faults, always on a stack of its own")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="draw the same faults again (default: any, it is printed)"
    )
    parser.add_argument("--json", action="store_true", help="print the table as one document; on a stack of its own")
    for name in OF_A_DAY[1:]:
        usual = getattr(USUAL, name)
        parser.add_argument(f"--{name}", type=at_least_one, metavar="N", help=f"how many (default {usual})")
    return parser


def at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 5000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 5000")
    return int(text)
