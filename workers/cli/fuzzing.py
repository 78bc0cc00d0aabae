"""`carerelay fuzz`: the long form of what the suite throws at the readers of what others send."""

import os

from workers.cli import stack


def run(words: list[str]) -> int:
    return stack.in_terminal(stack.module("tests.integrations.fuzz", words), os.environ)
