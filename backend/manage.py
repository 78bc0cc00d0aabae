#!/usr/bin/env python
"""Django's command line for this project: `./carerelay manage ...` calls it."""

import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

ALWAYS = {"check", "help", "version", "collectstatic"}  # touch no data; `check` tells what is unsafe
# Change tables, and not only what stands in them.
OF_OWNER = {
    ("migrate",), ("db_role",), ("audit", "detach"), ("audit", "adopt"), ("audit", "months"), ("keys", "rotate"),
    ("keys", "seal"),
}  # fmt: skip

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
    if OF_OWNER & {tuple(sys.argv[1:2]), tuple(sys.argv[1:3])}:
        os.environ["CARERELAY_AS_OWNER"] = "1"
    if not ALWAYS & set(sys.argv[1:2]):
        from backend.config import production  # found by the line above

        try:
            production.insist("manage")
        except ImproperlyConfigured as refusal:
            sys.exit(f"carerelay: {refusal}")
    execute_from_command_line(sys.argv)
