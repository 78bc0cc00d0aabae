"""`carerelay bench`: the benchmarks on durable servers of their own."""

import argparse

from workers.cli import embedded, stack


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay bench",
        description="Run the benchmarks on an own PostgreSQL (with fsync, as in production) and Redis.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these benchmarks (default: all)")
    names = parser.parse_args(words).names
    with stack.throwaway(embedded.DURABLE) as env:
        return stack.in_terminal(stack.module("tests.benchmarks", names), env)
