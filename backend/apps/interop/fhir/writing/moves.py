"""Moves a row to the status a body says, by the verb that leads there; nobody sets a status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from backend.apps.core.exceptions import IllegalTransition
from backend.apps.core.permissions import Table, may
from backend.apps.interop.fhir.outcomes import Forbidden

Verb = Callable[..., Any]


def move(row: Any, wanted: str, verbs: Mapping[str, Verb], *, by: Any, permissions: Table, **said: Any) -> Any:
    """Return the row in the status `wanted`, moved there by its verb if it stands elsewhere.

    verbs: by the status they lead to. said: what the verb takes beside the row.

    Raises:
        Forbidden: the caller's role may not do what the status asks for.
        IllegalTransition: no verb leads there.
    """
    if row.status == wanted:
        return row
    verb = verbs.get(wanted)
    if verb is None:
        name = row._meta.verbose_name
        raise IllegalTransition(f"This {name} is {row.status} and cannot become {wanted}.")
    if not may(by, verb.__name__, permissions):
        raise Forbidden
    return verb(row, by=by, **said)


def differing(said: Any, stands: Any, names: Iterable[str]) -> set[str]:
    """Return those names under which the body says otherwise than what stands; all of them where nothing stands."""
    return {name for name in names if stands is None or getattr(said, name) != getattr(stands, name)}
