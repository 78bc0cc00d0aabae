"""`carerelay manage`: a Django command in the environment of this checkout."""

import sys

from workers.cli import stack


def run(words: list[str]) -> int:
    """Run it beside the running stack, or on the embedded servers started for it; say which database that is."""
    with stack.beside() as env:
        where = stack.place(stack.secret(env, "DATABASE_URL"))
        print(f"[database] {where}", file=sys.stderr, flush=True)
        return stack.in_terminal(stack.manage(words or ["help"]), env)
