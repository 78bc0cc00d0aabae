"""`python -m workers.cli.part NAME`: one part in the foreground; without it containers would need a second table.

`--check` asks the running part instead and exits 0 when it is ready (a container's health check).
"""

import argparse
import os
import sys
from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

from backend.config import production
from workers.cli import stack
from workers.cli.errors import Refused
from workers.cli.parts import DEFAULTS, PARTS, named

NEEDED = ("DATABASE_URL", "REDIS_URL")
FROM_FILES = (*NEEDED, "CELERY_BROKER_URL", "FLOWER_BASIC_AUTH")  # Flower and the probes read variables only


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.cli.part", description="Run one part in the foreground.")
    parser.add_argument("name", choices=[part.name for part in PARTS])
    parser.add_argument("--check", action="store_true", help="ask the running part; exit 0 when it is ready")
    options = parser.parse_args(words)
    part = named(options.name)
    try:
        settings = environment(os.environ)
    except Refused as refusal:
        print(f"carerelay: {refusal}", file=sys.stderr)
        return 1
    if options.check:
        return 0 if part.is_ready(settings) else 1
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
    os.environ.update(part.environment(settings))  # what the settings of the part are read from
    try:
        production.insist(part.name)
    except ImproperlyConfigured as refusal:
        print(f"carerelay: {refusal}", file=sys.stderr)
        return 1
    argv = part.argv(settings)
    return os.execve(argv[0], argv, part.environment(settings))  # noqa: S606  # nosec B606  # a part takes our place


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the part's settings: secrets out of their files, the rest as given or by default."""
    secrets = {name: value for name in FROM_FILES if (value := stack.secret(given, name))}
    if missing := [name for name in NEEDED if name not in secrets]:
        raise Refused(f"Set {missing[0]} or {missing[0]}_FILE.")
    return {**DEFAULTS, **given, **secrets}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
