"""Prints who may do what, read from the permission tables themselves, so that the document cannot lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import URLPattern, URLResolver, get_resolver

from backend.apps.core.permissions import ALL_ROLES
from backend.apps.core.views import Audited

HEAD = """# Roles

Made by `./carerelay manage roles > docs/roles.md` from the permission tables in `backend/apps/*/permissions.py`; a test
fails when they differ. What is not listed is denied. A mark says that the role may try; which rows it then finds
follows from the object rules (`backend/apps/core/scope.py`): patients see their own record, doctors their own patients.
"""


def viewsets(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, type[Audited]]]:
    """Yield (resource name, viewset) for every resource address."""
    for entry in patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from viewsets(entry.url_patterns, path)
            continue
        view = getattr(entry.callback, "cls", None)
        if isinstance(view, type) and issubclass(view, Audited) and path.endswith("/$"):
            yield path.split("^")[-1].split("/")[0], view


def table() -> str:
    """Return the whole table as Markdown."""
    lines = [HEAD, "| resource | action | " + " | ".join(ALL_ROLES) + " |", "|---" * (2 + len(ALL_ROLES)) + "|"]
    for name, view in sorted(dict(viewsets(get_resolver().url_patterns)).items()):
        for action, roles in getattr(view, "permissions", {}).items():
            marks = " | ".join("x" if role in roles else "" for role in ALL_ROLES)
            lines.append(f"| {name} | {action} | {marks} |")
    return "\n".join(lines)


class Command(BaseCommand):
    help = "Print the role table as Markdown."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(table())
