"""The one exception of the command line; without it bad input would end in a traceback."""

import traceback
from pathlib import Path

HERE = Path(__file__).parent


class Refused(Exception):
    """A command cannot go on. The text is the sentence shown to the person; the exit code is 1."""


def reason(error: Exception) -> str:
    """Return in one line why something broke off: a refusal as it is, of anything else its kind and place as well."""
    said = " ".join(str(error).split())
    if isinstance(error, Refused):
        return said
    ours = [one for one in traceback.extract_tb(error.__traceback__) if HERE in Path(one.filename).parents]
    where = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {said[:300]}{where}"
