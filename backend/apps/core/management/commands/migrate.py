"""Django's `migrate` in a third of its time: each step built anew whatever a changed model leads to."""

import gc
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django.db.models import Field

from backend.apps.core import indexing, upgrades

MONTHS_AHEAD = 3
YOUNG = 200_000  # new objects between two small collections


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        kept, executor = gc.get_threshold(), migrate.MigrationExecutor  # type: ignore[attr-defined]
        gc.set_threshold(YOUNG, 20, 50)
        migrate.MigrationExecutor = SparingExecutor  # type: ignore[attr-defined]  # Django offers no other way
        try:
            super().handle(*args, **options)
            self.make_months(options["database"])
            self.warn_of_lost(**options)
            if settings.DATABASE_OWNER_URL and not options["plan"] and not options["check_unapplied"]:
                call_command("db_role", stdout=self.stdout)
        finally:
            migrate.MigrationExecutor = executor  # type: ignore[attr-defined]
            gc.set_threshold(*kept)

    def warn_of_lost(self, *, app_label: str | None, plan: bool, fake: bool, **_: Any) -> None:
        """Warn of blind indexes whose key is gone: this runs before all parts, which would miss opt-outs."""
        if not (app_label or plan or fake):
            for one in indexing.lost():
                self.stderr.write(self.style.WARNING(str(one)))

    def make_months(self, alias: str) -> None:
        """Make the months to come of the audit log, where it has months already: the first beat may be a day away."""
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT to_regproc('core_auditlog_ahead')::text")
            if cursor.fetchone() != (None,):
                cursor.execute("SELECT core_auditlog_ahead(%s)", [MONTHS_AHEAD])


class SparingExecutor(MigrationExecutor):
    """Runs forwards on a sparing state, and alone where it seals; backwards as Django does."""

    def _migrate_all_forwards(
        self, state: ProjectState, plan: list[Any], full_plan: list[Any], *args: Any, **options: Any
    ) -> ProjectState:
        upgrades.insist_alone(self.connection, plan, full_plan)
        sparing = SparingState(state.models, state.real_apps)
        return super()._migrate_all_forwards(sparing, plan, full_plan, *args, **options)  # type: ignore[misc]


class SparingState(ProjectState):
    """Builds only the class of a model that is new or changes in what no other table leans on.

    The classes that refer to it keep the older class until a step is about them; its table and key are the same.
    A Python step sees all classes built anew, for the state says that some are late (`is_delayed`).
    """

    adding = False

    def add_field(self, app_label: str, model_name: str, name: str, field: Field, preserve_default: bool) -> None:
        self.adding = True
        try:
            super().add_field(app_label, model_name, name, field, preserve_default)
        finally:
            self.adding = False

    def _find_reload_model(self, app_label: str, model_name: str, delay: bool = False) -> set[tuple[str, str]]:
        is_new = model_name not in self.apps.all_models[app_label]
        if not (is_new or self.adding or delay):
            return super()._find_reload_model(app_label, model_name, delay)  # type: ignore[misc]
        self.is_delayed = True
        return {(app_label, model_name)}
