"""Holds that the tables are what the models say, and that an upgrade which is broken off goes on."""

import pytest
from django.core.management import call_command
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    CreateModel,
    RemoveConstraint,
    RemoveField,
    RemoveIndex,
)
from django.db.migrations.loader import MigrationLoader

ONCE = (AddConstraint, AddField, AddIndex, CreateModel, RemoveConstraint, RemoveField, RemoveIndex)


@pytest.mark.django_db
def test_no_model_change_lacks_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_a_migration_that_is_not_rolled_back_as_one_does_nothing_that_cannot_be_done_twice() -> None:
    found = MigrationLoader(None).disk_migrations
    steps = {
        f"{app} {name}": one.operations
        for (app, name), one in found.items()
        if type(one).__module__.startswith("backend.") and not one.atomic
    }
    assert "laboratory 0016_messages_sealed" in steps
    assert [name for name, done in steps.items() if any(isinstance(step, ONCE) for step in done)] == []
