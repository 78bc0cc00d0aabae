"""The rules of R4 that fhir.resources does not know: each a name, a test of one element, and what it asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

Said = Mapping[str, Any]


class Rule(NamedTuple):
    """Source: R4, the constraints of each resource and data type, by their keys."""

    key: str
    holds: Callable[[Said], bool]
    sentence: str


def _has_value(said: Said) -> bool:
    return any(name.lstrip("_").startswith("value") for name in said)


def _has_any(*names: str) -> Callable[[Said], bool]:
    return lambda said: any(name in said for name in names)


def _codings(said: Any) -> set[str]:
    """Return the codings of a concept as text: FHIRPath's `intersect` takes those for one that say the same."""
    codings = said.get("coding", []) if isinstance(said, Mapping) else []
    return {json.dumps(coding, sort_keys=True) for coding in codings}


def _in_order(said: Said) -> bool:
    """Whether a period ends no earlier than it begins; days and moments with a zone can be told, others pass."""
    try:
        begins, ends = datetime.fromisoformat(said["start"]), datetime.fromisoformat(said["end"])
    except (KeyError, ValueError):
        return True
    return (begins.tzinfo is None) != (ends.tzinfo is None) or begins <= ends


def _component_differs(said: Said) -> bool:
    own = _codings(said.get("code"))
    return not _has_value(said) or not any(own & _codings(part.get("code")) for part in said.get("component", ()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType({
    "Extension": (
        Rule("ext-1", lambda said: ("extension" in said) != _has_value(said), "It has either a value or extensions."),
    ),
    "Period": (Rule("per-1", _in_order, "A period ends after it begins."),),
    "ContactPoint": (
        Rule("cpt-2", lambda said: "value" not in said or "system" in said, "A value needs its system."),
    ),
    "Quantity": (Rule("qty-3", lambda said: "code" not in said or "system" in said, "A code needs its system."),),
    "Attachment": (
        Rule("att-1", lambda said: "data" not in said or "contentType" in said, "Data needs its contentType."),
    ),
    "PatientContact": (
        Rule("pat-1", _has_any("name", "telecom", "address", "organization"), "A contact says who or how."),
    ),
    "Observation": (
        Rule(
            "obs-6",
            lambda said: "dataAbsentReason" not in said or not _has_value(said),
            "A reason why there is no value stands where there is none.",
        ),
        Rule("obs-7", _component_differs, "A value is not said again by a component of the same code."),
    ),
    "ObservationReferenceRange": (Rule("obs-3", _has_any("low", "high", "text"), "A range says low, high or text."),),
    "AppointmentParticipant": (Rule("app-1", _has_any("type", "actor"), "A participant says type or actor."),),
    "Appointment": (
        Rule("app-2", lambda said: ("start" in said) == ("end" in said), "Say both start and end, or neither."),
        Rule(
            "app-3",
            lambda said: "start" in said or said.get("status") in {"proposed", "cancelled", "waitlist"},
            "Only what is proposed, cancelled or waiting has no start.",
        ),
        Rule(
            "app-4",
            lambda said: "cancelationReason" not in said or said.get("status") in {"cancelled", "noshow"},
            "A reason is said of what is cancelled or was missed.",
        ),
    ),
    "ServiceRequest": (
        Rule("prr-1", lambda said: "orderDetail" not in said or "code" in said, "Details need a code."),
    ),
})  # fmt: skip
