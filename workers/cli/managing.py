"""`carerelay manage`: a Django command in the environment of this checkout."""

from workers.cli import stack


def run(words: list[str]) -> int:
    """Run it beside the running stack, or on the embedded servers started for it."""
    with stack.beside() as env:
        return stack.in_terminal(stack.manage(words or ["help"]), env)
