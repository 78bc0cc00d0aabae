"""Proves that building the tables leaves the process as it was and makes the tables that Django would."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from django.core.management import call_command, get_commands
from django.core.management.commands import migrate as django_migrate
from django.db import connection, migrations, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState, StateApps
from django.test.utils import CaptureQueriesContext

from backend.apps.core.management.commands.migrate import SparingState

A_WARD_AND_ITS_BEDS = [
    migrations.CreateModel("Ward", [("id", models.IntegerField(primary_key=True))]),
    migrations.CreateModel(
        "Bed", [("id", models.AutoField(primary_key=True)), ("ward", models.ForeignKey("trial.Ward", models.CASCADE))]
    ),
    migrations.AddIndex("Bed", models.Index(fields=["ward"], name="bed_ward")),
    migrations.AddField("Ward", "name", models.CharField(max_length=20, default="")),
    migrations.AddConstraint("Ward", models.UniqueConstraint(fields=["name"], name="ward_name")),
    migrations.CreateModel("Stay", [("id", models.AutoField(primary_key=True))]),
    migrations.AddField("Stay", "bed", models.ForeignKey("trial.Bed", models.CASCADE, null=True)),
    migrations.AlterField("Ward", "id", models.CharField(max_length=8, primary_key=True)),
    migrations.AlterModelTable("Ward", "trial_floor"),
    migrations.AddField("Stay", "ward", models.ForeignKey("trial.Ward", models.CASCADE, null=True)),
    migrations.RemoveField("Stay", "bed"),
    migrations.RenameField("Ward", "name", "title"),
]


@pytest.mark.django_db
def test_the_process_is_left_as_it_was() -> None:
    assert get_commands()["migrate"] == "backend.apps.core"
    before = gc.get_threshold(), django_migrate.MigrationExecutor
    call_command("migrate", verbosity=0)
    assert (gc.get_threshold(), django_migrate.MigrationExecutor) == before


def sql_of(state: ProjectState, operations: list[Any]) -> list[str]:
    """Take these steps in the database, undo all of it, and return what was run."""
    migration = migrations.Migration("0001", "trial")
    migration.operations = operations
    assert state.apps  # built before the first step, as `migrate` does
    with transaction.atomic(), CaptureQueriesContext(connection) as run:
        with connection.schema_editor() as editor:
            migration.apply(state, editor)
        transaction.set_rollback(True)
    return [query["sql"] for query in run.captured_queries if "SAVEPOINT" not in query["sql"]]


@pytest.mark.django_db
def test_the_sparing_state_leads_to_the_sql_that_django_runs() -> None:
    expected = sql_of(ProjectState(), A_WARD_AND_ITS_BEDS)
    assert len(expected) > len(A_WARD_AND_ITS_BEDS)
    assert sql_of(SparingState(), A_WARD_AND_ITS_BEDS) == expected


@pytest.mark.django_db
def test_a_python_step_sees_every_model_as_it_is_by_then() -> None:
    seen = []

    def look(apps: StateApps, _editor: BaseDatabaseSchemaEditor) -> None:
        ward = apps.get_model("trial", "Ward").objects.create(id="A", title="Maternity")
        apps.get_model("trial", "Stay").objects.create(ward=ward)
        seen.extend(apps.get_model("trial", "Stay").objects.values_list("ward__title", flat=True))
        ward.delete()
        seen.append(apps.get_model("trial", "Stay").objects.count())

    sql_of(SparingState(), [*A_WARD_AND_ITS_BEDS, migrations.RunPython(look)])
    assert seen == ["Maternity", 0]
