"""The one exception of the command line; without it bad input would end in a traceback."""


class Refused(Exception):
    """A command cannot go on. The text is the sentence shown to the person; the exit code is 1."""
