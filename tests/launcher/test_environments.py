"""Proves that no setting of the caller's leads a command beside a stack to another clinic."""

from __future__ import annotations

import json
import os

import pytest

from workers.cli import environments, stack
from workers.cli.errors import Refused
from workers.cli.state import Ports, Running

ANOTHERS = {
    "CARERELAY_DATA_DIR": "/srv/clinic/data",
    "CARERELAY_DEADMAN": '{"catch up": "https://another.example/ping"}',
    "CARERELAY_EXPORT_BUCKET": "clinic-exports",
    "CARERELAY_PUBLIC_BASE_URL": "https://another.example",
    "CELERY_BROKER_URL": "redis://another.example:6379/0",
    "DATABASE_URL": "postgresql://another.example/clinic",
    "DATABASE_OWNER_URL_FILE": "/run/secrets/database_owner_url",
    "DATABASE_URL_FILE": "/run/secrets/database_url",
    "SENDGRID_API_KEY_FILE": "/run/secrets/sendgrid",
    "SMTP_HOST": "mail.another.example",
    "TWILIO_ACCOUNT_SID": "AC0",
}
STACKS = {"DATABASE_URL": "postgresql://127.0.0.1:1/own", "CARERELAY_STATE": "/own"}


def ours(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name in ANOTHERS or name in STACKS}


def test_beside_a_stack_only_its_own_settings_count_and_the_callers_machine_stays() -> None:
    caller = {**ANOTHERS, "PATH": "/bin", "EDITOR": "vi"}
    assert environments.beside(STACKS, caller) == {"PATH": "/bin", "EDITOR": "vi", **STACKS}


def test_a_stack_tells_what_is_needed_beside_it_and_not_where_its_starter_stood() -> None:
    told = environments.shared({**ANOTHERS, "CARERELAY_CWD": "/somewhere", "PATH": "/bin"})
    assert told == ANOTHERS


def test_a_command_of_the_demo_sees_the_stack_it_plays_on_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ANOTHERS.items():
        monkeypatch.setenv(name, value)
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    done = stack.captured(Running(Ports(), STACKS, {}, ready=True), ["shell", "--no-imports", "-c", code], 60)
    seen = json.loads(done.stdout)
    assert ours(seen) == STACKS
    assert seen["PATH"] == os.environ["PATH"]


def test_a_command_of_the_demo_that_does_not_end_is_refused() -> None:
    with pytest.raises(Refused, match="`manage shell` did not end within 1 s"):
        stack.captured(Running(Ports(), STACKS, {}, ready=True), ["shell", "-c", "import time; time.sleep(60)"], 1)


def test_tests_and_benchmarks_take_no_setting_of_their_caller_and_leave_pictures_where_asked() -> None:
    machine = {"PATH": "/bin", "PYTEST_ADDOPTS": "-x", "CARERELAY_SCREENSHOTS": "/pictures"}
    assert environments.of_a_trial({**ANOTHERS, **machine}) == machine
