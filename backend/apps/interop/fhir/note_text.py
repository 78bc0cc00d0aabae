"""A signed note as plain text; without it a reader of FHIR would have to put its parts together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend.apps.clinical_notes.models import ClinicalNote, ProgressNote, SOAPNote

OWN = ("chief_complaint", "content", "diagnosis", "treatment_plan", "follow_up_instructions", "follow_up_date")
PARTS = (
    (SOAPNote, ("subjective", "objective", "assessment", "plan")),
    (
        ProgressNote,
        (
            "current_status", "progress_since_last_visit", "symptoms_update", "medications_review",
            "treatment_effectiveness", "plan_modifications", "treatment_goals", "goals_achieved", "next_steps",
        ),
    ),
)  # fmt: skip


def written(note: ClinicalNote) -> str:
    """Return the texts of a note and of its parts, each under its name, in two queries."""
    sections = [*_sections(note, OWN)]
    for model, names in PARTS:
        for part in model.objects.filter(clinical_note=note):
            sections += _sections(part, names)
    return "\n\n".join(sections) + "\n"


def _sections(row: Any, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if said := str(getattr(row, name) or "").strip():
            yield f"{name.replace('_', ' ').capitalize()}\n{said}"
