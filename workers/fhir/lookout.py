"""Renews what a process at work on exports holds, and sees that it is still wanted; else a stop would go unnoticed."""

from __future__ import annotations

import time
from datetime import timedelta

from backend.apps.interop.models import ExportChunk, ExportJob
from backend.apps.interop.models.exports import RUNNING
from integrations.errors import Permanent
from workers.fhir.snapshots import LeaseLost

LOOK_S = 1.0  # between two looks
STOPPED = "the export was stopped"


class Lookout:
    """Looks now and then, over all pieces that one process writes: short ones would never come to a look of their own.

    leading: the job whose lease is renewed along with that of the pieces. chunk: the piece that is being written.
    """

    def __init__(self) -> None:
        self.leading: ExportJob | None = None
        self.chunk: ExportChunk | None = None
        self._looked_at = 0.0

    def __call__(self) -> None:
        """Look, unless we did a moment ago. Raises as `now` does."""
        if time.monotonic() - self._looked_at > LOOK_S:
            self.now()

    def now(self, lasting: timedelta | None = None) -> None:
        """Look, and hold what we hold for another lease, or as long as the next step takes.

        Raises:
            LeaseLost: another worker has it.
            Permanent: the export was stopped; the piece is not written.
        """
        self._looked_at = time.monotonic()
        leads = self.leading is not None and self.leading.renew(lasting)
        if self.chunk is None:
            if not leads:
                raise LeaseLost
        elif not self.chunk.renew(lasting):
            raise LeaseLost
        elif not ExportJob.objects.filter(pk=self.chunk.job_id, status__in=RUNNING).exists():
            raise Permanent(STOPPED, code="stopped")
