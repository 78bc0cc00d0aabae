"""`carerelay demo`: one clinic day on the running stack or on one of its own."""

import argparse

from workers.cli import demo, stack


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay demo",
        description="Drive one clinic day end to end on the stack that runs here, or on one started for it on free "
        "ports, and print what happened. The exit code is the verdict.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these scenes (default: all)")
    options = parser.parse_args(words)
    with stack.running() as running:
        return demo.run(running, options.names)
