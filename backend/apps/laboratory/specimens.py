"""Keeps what laboratories say of their specimens; without it nobody could tell what a result was measured in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from backend.apps.core.bulk import copy_in, update_each
from backend.apps.laboratory import versions
from backend.apps.laboratory.models import InboundMessage, LabSpecimen, ReportedPanel
from backend.apps.laboratory.observations import Filing
from backend.apps.laboratory.reports import SpecimenIn, clean

SAID = (
    "type_code", "type_text", "type_system", "site", "description", "collected_at", "collected_until", "received_at",
    "condition", "reject_reason",
)  # fmt: skip


def place(filings: Sequence[Filing]) -> int:
    """Keep the specimens of these reports; what the newest message says of one holds. Return how many are new."""
    said = [
        _row(message=filing.message, panel=panel, sent_at=sent_at, place=number, said=specimen)
        for filing in filings
        for (order, sent_at), panel in zip(filing.orders, filing.panels, strict=True)
        for number, specimen in enumerate(order.specimens, start=1)
    ]
    if not said:
        return 0
    stored = {_name(row): row for row in LabSpecimen.all_objects.filter(panel__in={row.panel_id for row in said})}
    fresh: dict[tuple[Any, str], LabSpecimen] = {}
    changed: dict[tuple[Any, str], LabSpecimen] = {}
    for row in said:
        name = _name(row)
        before = fresh.get(name) or stored.get(name)
        if before is None:
            fresh[name] = row
        elif (before.said_at, before.digest) < (row.said_at, row.digest):
            _take_over(before, row)
            if name in stored:
                changed[name] = before
    copy_in(list(fresh.values()))
    update_each(changed.values(), [*SAID, "said_at", "digest", "source_message"])
    return len(fresh)


def _name(row: LabSpecimen) -> tuple[Any, str]:
    return row.panel_id, row.specimen_id


def _take_over(before: LabSpecimen, row: LabSpecimen) -> None:
    for name in (*SAID, "said_at", "digest", "source_message_id"):
        setattr(before, name, getattr(row, name))


def _row(
    *, message: InboundMessage, panel: ReportedPanel, sent_at: datetime | None, place: int, said: SpecimenIn
) -> LabSpecimen:
    row = LabSpecimen(
        lab_order=panel.lab_order,
        panel=panel,
        specimen_id=clean(said.specimen_id)[:200] or f"#{place}",
        type_code=clean(said.code)[:200],
        type_text=clean(said.text),
        type_system=clean(said.system)[:200],
        site=clean(said.site),
        description=clean(said.description),
        collected_at=said.collected_at,
        collected_until=said.collected_until if said.collected_at else None,
        received_at=said.received_at,
        condition=clean(said.condition),
        reject_reason=clean(said.reject_reason),
        said_at=sent_at or datetime(1, 1, 2, tzinfo=UTC),
        source_message=message,
    )
    row.digest = versions.key_of(*_written(getattr(row, name) for name in SAID))
    return row


def _written(values: Iterable[Any]) -> list[str]:
    return [value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value or "") for value in values]
