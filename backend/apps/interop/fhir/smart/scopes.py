"""What a system may read, in the words of SMART; without it a token would open everything or nothing.

Source: SMART App Launch 2.2, "Scopes and launch context"; "system/Type.read" is version 1, "system/Type.rs" version 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from backend.apps.interop.fhir.smart.resource_types import TYPES
from backend.apps.interop.fhir.sources import SOURCES

READ, SEARCH = "r", "s"
BOTH = frozenset({READ, SEARCH})
ANY = "*"
OURS = frozenset({*SOURCES, "Binary"})  # Binary: what DocumentReference points at
BY_NAME_ONLY = frozenset({"AuditEvent"})  # "*" does not cover it: it tells of the clinic's people, not of patients
OLD_WORDS: Mapping[str, frozenset[str]] = {"read": BOTH, "*": BOTH}  # "*" asks to write as well, which nobody gets
ONE = re.compile(r"system/(?P<type>\*|[A-Za-z]{1,60})\.(?P<does>read|\*|(?=[cruds])c?r?u?d?s?)(?P<only>\?\S*)?")

Grant = Mapping[str, frozenset[str]]  # by type or "*": what may be done there


class BadScope(ValueError):
    """Not a scope, one that writes, or one of a type that R4 does not have."""


@runtime_checkable
class Limited(Protocol):
    """A caller whose token says what may be read, as people's tokens do not."""

    def allows(self, resource_type: str, does: str) -> bool: ...


def allowed(user: Any, resource_type: str, does: str) -> bool:
    """Return whether the caller's token lets it read ("r") or search ("s") this type; for people it always does."""
    return user.allows(resource_type, does) if isinstance(user, Limited) else True


def granted_types(user: Any, needs: frozenset[str] = BOTH) -> frozenset[str] | None:
    """Return the types of ours that the caller's token covers; None where no token limits it."""
    if not isinstance(user, Limited):
        return None
    return frozenset(name for name in OURS if all(user.allows(name, one) for one in needs))


def covers(grant: Grant, resource_type: str, does: str) -> bool:
    return does in _given(grant, resource_type)


def _given(grant: Grant, name: str) -> frozenset[str]:
    everywhere = frozenset() if name in BY_NAME_ONLY else grant.get(ANY, frozenset())
    return grant.get(name, frozenset()) | everywhere


def read(words: Iterable[str]) -> Grant:
    """Return what these scopes allow together; those with a condition ("?category=...") allow nothing.

    Raises:
        BadScope: see there.
    """
    grant: dict[str, frozenset[str]] = {}
    for word in words:
        name, does = _one(word)
        if does:
            grant[name] = grant.get(name, frozenset()) | does
    return grant


def _one(word: str) -> tuple[str, frozenset[str]]:
    found = ONE.fullmatch(word)
    if found is None or found["type"] not in {ANY, *TYPES}:
        raise BadScope("a scope that is not system/<type of R4>.read or .rs")
    does = OLD_WORDS.get(found["does"]) or frozenset(found["does"]) & BOTH
    if not does:
        raise BadScope("a scope that only writes")
    return found["type"], frozenset() if found["only"] else does


def narrowed(asked: Iterable[str], registered: Grant) -> list[str]:
    """Return the scopes to grant: what was asked, as far as the client is registered for it and we have it.

    Each stays in the words it was asked in where all of it is granted. "*" stays "*" where the client may read all.

    Raises:
        BadScope: one of those that were asked is not a scope to read by.
    """
    granted: dict[str, None] = {}  # in the order they were asked
    for word in asked:
        name, does = _one(word)
        granted.update(dict.fromkeys(_granted(word, name, does, registered)))
    return list(granted)


def _granted(word: str, name: str, does: frozenset[str], registered: Grant) -> Iterable[str]:
    names = [ANY, *sorted(OURS & set(registered) - BY_NAME_ONLY)] if name == ANY else [name] if name in OURS else []
    everywhere = registered.get(ANY, frozenset()) if name == ANY else frozenset()
    for one in names:
        given = does & _given(registered, one)
        if given and (one == ANY or not given <= everywhere):
            yield _written(word, one, does, given)


def _written(word: str, name: str, asked: frozenset[str], given: frozenset[str]) -> str:
    if given == BOTH and asked == BOTH and word.endswith((".read", ".*")):
        return f"system/{name}.read"
    return f"system/{name}.{''.join(sorted(given))}"
