"""Reads a body member by member and knows what nobody has read; without it a part we cannot hold would be lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from integrations.fhir.outcomes import Issue, issue

Step = str | int
Steps = tuple[Step, ...]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # what an answer repeats of a body
UNHELD = "We cannot keep this element; leave it out."


class Refused(Exception):
    """The body says something that cannot be done here; `issues` name the elements and quote no value."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__("this body cannot be taken over")
        self.issues = list(issues)


def expression(steps: Sequence[Step]) -> str:
    """Return the FHIRPath of an element, as Patient.name[0].family; that of its parent if its name is no name."""
    told = takewhile(lambda step: isinstance(step, int) or NAME.fullmatch(step), steps)
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in told).lstrip(".")


class Element:
    """One object of a body. Each member is taken once, by the method that fits its type; `left` tells the others.

    The body has the shape that R4 wants (see `checks`); an absent member is "" or an element without members.
    """

    def __init__(self, said: dict[str, Any], steps: Steps, issues: list[Issue]) -> None:
        self.said, self.steps, self.issues = said, steps, issues
        self._taken: dict[str, list[Element]] = {}

    def __bool__(self) -> bool:
        return bool(self.said)

    def __contains__(self, name: str) -> bool:
        return name in self.said

    def at(self, *steps: Step) -> str:
        return expression((*self.steps, *steps))

    def refuse(self, sentence: str, *steps: Step, code: str = "business-rule") -> None:
        self.issues.append(issue(code, sentence, at=[self.at(*steps)]))

    def take(self, name: str) -> Any:
        """Return a member as it stands, whole; None where it is absent."""
        self._taken.setdefault(name, [])
        return self.said.get(name)

    def text(self, name: str) -> str:
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            self.refuse("This is said as text.", name, code="value")
        return value.strip() if isinstance(value, str) else ""

    def texts(self, name: str, most: int) -> list[str]:
        """Return a list of strings; more than `most` of them are refused."""
        values = [value.strip() if isinstance(value, str) else "" for value in self.take(name) or []]
        if len(values) > most:
            self.refuse(f"We keep at most {most} of these.", name, most, code="not-supported")
        return values[:most]

    def part(self, name: str) -> Element:
        member = Element(self.said.get(name) or {}, (*self.steps, name), self.issues)
        self._taken[name] = [member]
        return member

    def parts(self, name: str) -> list[Element]:
        found = [
            Element(one or {}, (*self.steps, name, place), self.issues)
            for place, one in enumerate(self.said.get(name) or [])
        ]
        self._taken[name] = found
        return found

    def first(self, name: str) -> Element:
        """Return the one member of a list that we keep; further ones are refused."""
        found = self.parts(name)
        for extra in found[1:]:
            extra.refuse("We keep one of these.", code="not-supported")
            extra.ignore()
        return found[0] if found else Element({}, (*self.steps, name, 0), self.issues)

    def only(self, name: str, *allowed: Any) -> None:
        """Take a member that we do not keep because it has one of these values, or is absent."""
        value = self.take(name)
        if value is not None and value not in allowed:
            self.refuse(UNHELD, name, code="not-supported")

    def ignore(self) -> None:
        """Take all there is, whatever it says."""
        self._taken = {name: [] for name in self.said}

    def left(self) -> Iterator[Steps]:
        """Return the members that nobody has taken, outermost first."""
        for name in self.said:
            if name not in self._taken:
                yield (*self.steps, name)
            for member in self._taken.get(name, ()):
                yield from member.left()


def root(resource: dict[str, Any]) -> Element:
    """Return the body without what we set ourselves (id, meta) and what is only a view of the rest (text)."""
    body = Element(resource, (str(resource["resourceType"]),), [])
    for name in ("resourceType", "id", "text"):
        body.take(name)
    meta = body.part("meta")
    for name in ("versionId", "lastUpdated", "profile", "tag"):
        meta.take(name)
    return body


def settled(body: Element, held: dict[str, Any] | None = None) -> None:
    """Refuse what was said but not taken, unless the resource as it stands (`held`) says the same.

    What stands is never refused itself: it is read to tell what a body changes.

    Raises:
        Refused: something of this body cannot be taken over.
    """
    if body.said is held:
        return
    for steps in body.left():
        if held is None or _dug(body.said, steps[1:]) != _dug(held, steps[1:]):
            body.issues.append(issue("not-supported", UNHELD, at=[expression(steps)]))
    if body.issues:
        raise Refused(body.issues)


def _dug(tree: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree
