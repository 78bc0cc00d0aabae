"""Seals the audit log, verifies it and makes its months; without it a rewritten row would be noticed by nobody."""

from __future__ import annotations

from backend.apps.core import audit_anchors, audit_checking, audit_partitions, audit_sealing, refusals
from workers.beats import beating
from workers.celery_app import app


@app.task(name="audit.seal")  # type: ignore[untyped-decorator]  # Celery has no types
def seal() -> str:
    """Seal what was written and tell the anchor; safe to run twice, for what is sealed is not sealed again."""
    with beating("audit seal"):
        sealed = audit_sealing.seal()
        anchored = audit_anchors.anchor()
    return f"sealed {sealed} rows, anchored {anchored} seals"


@app.task(name="audit.verify")  # type: ignore[untyped-decorator]  # Celery has no types
def verify() -> str:
    """Compare the log with its seals; reads only, so twice is harmless."""
    with beating("audit verify"):
        found = audit_checking.check()
    return f"verified {found.rows} rows in {found.seals} seals, {len(found.findings)} findings"


@app.task(name="audit.partitions")  # type: ignore[untyped-decorator]  # Celery has no types
def partitions() -> str:
    """Make the months to come; safe to run twice, for those there are stay."""
    with beating("audit months"):
        made = audit_partitions.ahead()
    return f"made {made}"


@app.task(name="audit.count_refused")  # type: ignore[untyped-decorator]  # Celery has no types
def count_refused() -> str:
    """Add how many calls were refused at our doors in the minutes that are over; twice adds them once."""
    with beating("calls refused"):
        added = refusals.close()
    return f"added {added} rows"
