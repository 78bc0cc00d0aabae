"""`carerelay bench`: the benchmarks on durable servers of their own."""

import argparse

from workers.cli import embedded, stack


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="carerelay bench",
        description="Run the benchmarks on an own PostgreSQL (with fsync, as in production) and Redis.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these benchmarks (default: all)")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long labs-kill fights (default 2)")
    options = parser.parse_args(words)
    minutes = {"BENCH_MINUTES": str(options.minutes)} if options.minutes else {}
    with stack.throwaway(embedded.DURABLE) as env:
        return stack.in_terminal(stack.module("tests.benchmarks", options.names), {**env, **minutes})
