"""Removes what has expired and what rules no longer keep; without it old data would stay until somebody finds it."""

from __future__ import annotations

from collections.abc import Mapping

from backend.apps.core import tally_folding
from backend.apps.interop import retention_rules
from workers.beats import beating
from workers.celery_app import app


@app.task(name="retention.purge")  # type: ignore[untyped-decorator]  # Celery has no types
def purge() -> str:
    """Remove by the rules that are active and were looked at; safe to run twice, for what is gone is not due."""
    with beating("retention purge"):
        removed = retention_rules.purge_due()
    return _told(removed)


@app.task(name="retention.expire_tokens")  # type: ignore[untyped-decorator]  # Celery has no types
def expire_tokens() -> str:
    """Remove tokens, links and keys that have expired; safe to run twice."""
    with beating("tokens and links expired"):
        removed = retention_rules.expire()
    return _told(removed)


@app.task(name="retention.fold_tallies")  # type: ignore[untyped-decorator]  # Celery has no types
def fold_tallies() -> str:
    """Add old tallies of work up by day and month; safe to run twice, for a sum stays what it is."""
    with beating("fold tallies"):
        folded = tally_folding.fold()
    return f"folded {folded}"


def _told(removed: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {many}" for name, many in removed.items() if many) or "nothing to remove"
