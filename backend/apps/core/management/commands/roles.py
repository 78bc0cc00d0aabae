"""Prints who may do what, read from the permission tables themselves, so that the document cannot lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import URLPattern, URLResolver, get_resolver

from backend.apps.core.field_rules import ONLY, RULES, FieldRule
from backend.apps.core.permissions import ALL_ROLES
from backend.apps.core.views import Audited

HEAD = """# Roles

Made by `./carerelay manage roles > docs/roles.md` from the permission tables in `backend/apps/*/permissions.py`; a test
fails when they differ. What is not listed is denied. A mark says that the role may try; which rows it then finds
follows from the object rules (`backend/apps/core/scope.py`): patients see their own record, doctors their own patients.
"""

FIELDS = """
## Fields

From `backend/apps/core/field_rules.py`. A mark says that the role sees the field whole, of the rows it sees at all; who
does not cannot filter, search or order by it, nor write it. The admin and the FHIR API leave out what the API masks.
"""
ONLY_THESE = """
Of these a role sees the named fields and no others:
"""
BREAK_GLASS = """
## Break-glass

A doctor opens the record of a patient who is not theirs with `POST /api/v1/patients/{id}/break-glass/` or in the
console, with a reason of at least 10 characters, for 60 minutes by the database's clock. The id comes from
`POST /api/v1/patients/find/` with the whole record number and the birthday, which tells an id and initials. While it is
open the patient counts as an own one everywhere, for reading and for writing; what the doctor writes links the patient
to them for good, and the review shows it. Of one that was not justified nothing counts that they wrote up to the
verdict: the record is shut, until something new links them. What somebody else made counts whatever the verdict: a
visit that the desk booked meanwhile, and one that the patient takes from the waitlist after it. It ends when the
record is merged into another one, which takes a reason of its own; what linked the doctor to that one before stays.
Every audit row made under it names it in `detail.break_glass`. It opens an alert at once, which is mailed to whoever is
on call, and waits in the console for a review by somebody else; 7 days after its end without one an alert tells of it.
Nurses and the other roles of the staff need none: they see every patient, or the fields of them that are theirs.
Patients do not see who opened their record; the accounting of it is the administrator's.
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
    return "\n".join([*lines, *fields()])


def fields() -> Iterator[str]:
    """Yield the tables of `core.field_rules` as lines of Markdown."""
    yield FIELDS
    yield "| field | others see | " + " | ".join(ALL_ROLES) + " | and |"
    yield "|---" * (3 + len(ALL_ROLES)) + "|"
    for model, rules in sorted(RULES.items()):
        for name, one in sorted(rules.items()):
            marks = " | ".join("x" if one.sees_as(role) else "" for role in ALL_ROLES)
            others = "how it ends" if one.masked else "nothing"
            yield f"| {model}.{name} | {others} | {marks} | {_people(one)} |"
    yield ONLY_THESE
    for model, roles in sorted(ONLY.items()):
        for role, names in sorted(roles.items()):
            yield f"- {model}, {role}: {', '.join(sorted(names))}"
    yield BREAK_GLASS


def _people(one: FieldRule) -> str:
    return ", ".join("the head of the department" if "head" in path else "the person" for path in one.people)


class Command(BaseCommand):
    help = "Print the role table as Markdown."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(table())
