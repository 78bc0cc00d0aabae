"""Says how files for and from partners stand in an operator's words; else "in_doubt" would be all a page tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backend.apps.core.work import WorkState
from backend.apps.insurance.models import InboundFile, Interchange

OUTBOUND: Mapping[str, tuple[str, str, str]] = MappingProxyType(  # word, tone, sentence
    {
        "ready": ("ready", "wait", "It leaves next."),
        "staged": ("put there", "wait", "It lies at the partner under its hidden name and is renamed next."),
        "speaking": ("being handed over", "wait", "It is being handed over."),
        "sent": ("sent", "", "It has arrived. The partner has not answered yet."),
        "in_doubt": (
            "in doubt",
            "bad",
            "Perhaps it arrived: the answer was lost. The partner's own answer settles it.",
        ),
        "acknowledged": ("answered", "good", "The partner has answered."),
        "rejected": ("turned back", "bad", "The partner does not have it. Its claims are drafts, or in another file."),
    }
)
HELD = ("held", "bad", "The machine gave up. Ask the partner whether it has the file, and say so here.")
INBOUND: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "received": ("in line", "wait", "It is read next."),
        "applied": ("applied", "good", "All of it is applied."),
        "partly": ("partly applied", "wait", "Some of it waits for a person."),
        "quarantined": ("quarantined", "bad", "Nothing of it is applied."),
        "duplicate": ("duplicate", "", "The same bytes came before. Nothing was applied again."),
    }
)
STUCK = (WorkState.HELD, WorkState.FAILED)
UNREAD = ("held", "bad", "The machine gave up reading it.")
DECIDES = ("in_doubt", "ready", "staged", "speaking")  # of what a person decides once no machine goes on


@dataclass(frozen=True, slots=True)
class FileState:
    word: str
    tone: str
    sentence: str


def outbound(row: Interchange) -> FileState:
    held = row.work_state in STUCK and row.status in DECIDES and row.status != "in_doubt"
    return FileState(*(HELD if held else OUTBOUND[row.status]))


def inbound(row: InboundFile) -> FileState:
    held = row.work_state in STUCK and row.status == "received"
    return FileState(*(UNREAD if held else INBOUND[row.status]))


def needs_a_person(row: Interchange) -> bool:
    """Whether somebody has to say what became of a file."""
    return row.status == "in_doubt" or (row.work_state in STUCK and row.status in DECIDES)
