"""File names as the person typed them; without it they would be looked up in the wrong folder."""

import os
from pathlib import Path

from workers.cli.errors import Refused


def existing(name: str) -> Path:
    path = from_caller(name)
    if not path.exists():
        raise Refused(f"There is no file or folder {name}.")
    return path


def from_caller(name: str) -> Path:
    """Resolve a name against the folder `./carerelay` was called from."""
    return Path(os.environ.get("CARERELAY_CWD", "."), name)
