"""Holds what types cannot: every verb has a permission row, every task exists, every state can be reached."""

import ast
import pathlib
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import get_resolver

import beat_schedule
from backend.apps.core import opaque
from backend.apps.core.bases import ClinicModel
from backend.apps.core.dispatch import queue_for
from backend.apps.core.permissions import ALL_ROLES
from backend.apps.core.scope import Access
from backend.apps.core.transitions import Stateful
from backend.apps.core.views import Audited
from backend.apps.core.work import work_models
from workers.celery_app import app
from workers.queues import QUEUES

ROOT = pathlib.Path(__file__).resolve().parents[2]
CRUD = {"list", "retrieve", "create", "update", "partial_update", "destroy"}


def viewsets() -> set[type[Audited]]:
    def walk(patterns: list) -> Iterator[type[Audited]]:
        for entry in patterns:
            if hasattr(entry, "url_patterns"):
                yield from walk(entry.url_patterns)
            elif isinstance(getattr(entry.callback, "cls", None), type) and issubclass(entry.callback.cls, Audited):
                yield entry.callback.cls

    return set(walk(get_resolver().url_patterns))


def test_there_are_viewsets_to_check() -> None:
    assert len(viewsets()) >= 27


@pytest.mark.parametrize("view", sorted(viewsets(), key=lambda view: view.__name__))
def test_every_verb_of_a_viewset_has_a_row_in_its_permission_table(view: type[Audited]) -> None:
    verbs = {endpoint.__name__ for endpoint in view.get_extra_actions()}
    assert verbs <= set(view.permissions), verbs - set(view.permissions)


@pytest.mark.parametrize("view", sorted(viewsets(), key=lambda view: view.__name__))
def test_every_row_of_a_permission_table_names_something_the_viewset_does(view: type[Audited]) -> None:
    verbs = {endpoint.__name__ for endpoint in view.get_extra_actions()}
    assert set(view.permissions) <= verbs | CRUD
    for roles in view.permissions.values():
        assert roles <= {str(role) for role in ALL_ROLES}


def test_every_clinic_model_says_who_may_see_its_rows() -> None:
    for model in apps.get_models():
        if issubclass(model, ClinicModel):
            assert isinstance(model.access, Access)
            assert "access" in {name for base in model.__mro__[:2] for name in vars(base)}, model


def test_every_clinic_model_is_in_the_admin() -> None:
    missing = [m.__name__ for m in apps.get_models() if issubclass(m, ClinicModel) and m not in admin.site._registry]
    assert missing == []


def test_every_work_item_names_a_registered_task_and_a_queue_that_exists() -> None:
    app.loader.import_default_modules()
    for model in work_models():
        assert model.task_name in app.tasks, model
        assert queue_for(model.task_name) in QUEUES


def test_every_scheduled_name_is_a_registered_task() -> None:
    app.loader.import_default_modules()
    for entry in beat_schedule.SCHEDULE.values():
        assert entry["task"] in app.tasks


def test_the_names_a_message_may_hold_are_those_of_our_tasks() -> None:
    app.loader.import_default_modules()
    assert {name for name in app.tasks if not name.startswith("celery.")} == opaque.TASKS


def test_every_state_can_be_reached() -> None:
    for model in apps.get_models():
        if not issubclass(model, Stateful):
            continue
        states = {str(value) for value, _ in model._meta.get_field("status").choices}
        seen: set[str] = set()
        todo = [model._meta.get_field("status").default, *getattr(model, "ALSO_BEGINS", ())]
        while todo:
            state = str(todo.pop())
            if state not in seen:
                seen.add(state)
                todo += model.TRANSITIONS.get(state, ())
        assert seen == states, (model, states - seen)


def test_the_beat_schedule_imports_nothing_but_celery_schedules() -> None:
    tree = ast.parse((ROOT / "beat_schedule.py").read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {getattr(node, "module", None) for node in imported} <= {"celery.schedules"}


def test_csv_is_written_in_one_place() -> None:
    """A writer of one's own would forget that a name may be a formula."""
    found = {
        str(path.relative_to(ROOT))
        for folder in ("backend", "workers", "integrations")
        for path in (ROOT / folder).rglob("*.py")
        if "csv" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if takes_a_csv_writer(node)
    }
    assert found == {"backend/apps/core/csv_cells.py"}


def takes_a_csv_writer(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "csv" and not {alias.name for alias in node.names} <= {"reader", "DictReader"}
    if isinstance(node, ast.Import):
        return any(alias.name == "csv" and alias.asname for alias in node.names)
    match node:
        case ast.Attribute(ast.Name("csv"), "writer" | "DictWriter"):
            return True
    return False
