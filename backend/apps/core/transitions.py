"""State machines as plain tables: `status` moves only along the arrows a model lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from backend.apps.core.exceptions import Conflict, IllegalTransition

Table = Mapping[str, frozenset[str]]


class Stateful(models.Model):
    """A model whose `status` moves only along its own TRANSITIONS table."""

    TRANSITIONS: ClassVar[Table] = {}

    class Meta:
        abstract = True

    def can_move_to(self, new: str) -> bool:
        return new in self.TRANSITIONS.get(self.status, frozenset())  # type: ignore[attr-defined]  # subclasses have it

    def move_to(self, new: str, **changes: Any) -> None:
        """Move to status `new` and save `changes` in the same conditional UPDATE.

        Raises:
            IllegalTransition: the table has no such arrow.
            Conflict: another process moved the row since we read it.
        """
        name, old = self._meta.verbose_name, self.status  # type: ignore[attr-defined]  # subclasses have it
        if not self.can_move_to(new):
            raise IllegalTransition(f"This {name} is {old} and cannot become {new}.")
        changes = {**changes, "status": new, "updated_at": timezone.now()}
        rows: models.QuerySet[Any] = type(self)._base_manager.filter(pk=self.pk)
        moved = rows.filter(status=old).update(**changes)
        if not moved:
            raise Conflict(f"Someone else has just changed this {name}; load it again.")
        self.refresh_from_db(fields=list(changes))
