"""The abstract models and managers every table is built from: UUIDv7 keys, time stamps, soft delete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import uuid_utils
import uuid_utils.compat
from django.db import models, router
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import checks, scope, sealed


def uuid7() -> Any:
    """Return a new UUIDv7: keys that sort by time of creation (RFC 9562, section 5.7)."""
    return uuid_utils.compat.uuid7()


def uuid7_text() -> str:
    """Return a new UUIDv7 as text, at a fifth of the price."""
    return str(uuid_utils.uuid7())


class UUIDModel(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save as Django does; with a sealed column that is named goes its blind index."""
        names = None if update_fields is None else sealed.with_indexes(type(self), list(update_fields))
        super().save(*args, update_fields=names, **options)


class TimeStampedModel(models.Model):
    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        abstract = True


class ScopedQuerySet(models.QuerySet):
    """A queryset that can be cut down to what one user may see."""

    def visible_to(self, user: Any) -> Self:
        """Return the rows `user` may see; the one place object rules are applied (see `core.scope`)."""
        return scope.visible(self, user)


class SoftDeleteQuerySet(ScopedQuerySet):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Mark every row as deleted; nothing leaves the database."""
        now = timezone.now()
        rows = self.filter(is_deleted=False).update(is_deleted=True, deleted_at=now, updated_at=now)
        return rows, {self.model._meta.label: rows}

    def restore(self) -> int:
        return self.update(is_deleted=False, deleted_at=None, updated_at=timezone.now())


Manager = models.Manager.from_queryset(SoftDeleteQuerySet)


class SoftDeleteManager(Manager):
    """The default manager: rows that are not deleted."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(is_deleted=False)


class AllObjectsManager(Manager):
    """Every row, deleted or not."""


class SoftDeleteModel(TimeStampedModel):
    is_deleted = models.BooleanField(default=False, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = SoftDeleteManager()
    all_objects = AllObjectsManager()

    class Meta:
        abstract = True

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Mark this row as deleted."""
        now = timezone.now()
        rows = (
            type(self)
            ._base_manager.filter(pk=self.pk, is_deleted=False)
            .update(is_deleted=True, deleted_at=now, updated_at=now)
        )
        self.is_deleted, self.deleted_at = True, now
        return rows, {self._meta.label: rows}


SOFT_DELETE_CHECK = models.CheckConstraint(
    condition=Q(is_deleted=False, deleted_at__isnull=True) | Q(is_deleted=True, deleted_at__isnull=False),
    name="%(app_label)s_%(class)s_deleted_has_time",
)


class ClinicModel(UUIDModel, SoftDeleteModel):
    """What every clinic row is: UUIDv7 key, time stamps, soft delete, and an object rule.

    Subclasses that set their own `Meta.constraints` begin the list with `SOFT_DELETE_CHECK`.
    """

    access: ClassVar[scope.Access] = scope.STAFF_ONLY
    _checks_hold = False  # while `validate_constraints` looks at the constraints of other kinds

    class Meta:
        abstract = True
        constraints: ClassVar[list[models.BaseConstraint]] = [SOFT_DELETE_CHECK]

    def _get_field_expression_map(self, meta: Any, exclude: Any = None) -> dict[str, Any]:
        """Let constraints be asked about rows with sealed columns: whether these are empty, and how long."""
        found: dict[str, Any] = super()._get_field_expression_map(meta, exclude)  # type: ignore[misc]
        return {
            **found,
            **{field.name: field.stand_in(self) for field in sealed.columns(type(self)) if field.name in found},
        }

    def get_constraints(self) -> list[tuple[type[models.Model], Sequence[models.BaseConstraint]]]:
        found = super().get_constraints()
        return [(model, checks.split(some)[1]) for model, some in found] if self._checks_hold else found

    def validate_constraints(self, exclude: Any = None) -> None:
        """Ask about all CHECKs in one statement, and about each only where one of them says no."""
        using = router.db_for_write(type(self), instance=self)
        self._checks_hold = all(
            checks.hold(self, model, checks.split(some)[0], exclude=exclude, using=using)
            for model, some in self.get_constraints()
        )
        try:
            super().validate_constraints(exclude=exclude)
        finally:
            self._checks_hold = False

    def __str__(self) -> str:
        """Return a name without a patient's data: this text reaches logs and admin history."""
        return f"{self._meta.verbose_name} {self.pk}"


def save_changes(row: Any, changes: dict[str, Any]) -> Any:
    """Check and save only what changes: what another process moved meanwhile, a status or a balance, stays moved."""
    for name, value in changes.items():
        setattr(row, name, value)
    row.full_clean()
    row.save(update_fields=[*changes, "updated_at"])
    return row
