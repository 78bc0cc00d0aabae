"""`carerelay up` as a person uses it: start, look, kill, start again, stop."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from tests.launcher.processes import alive, descendants, text_of, until
from workers.cli import probes, stack, state
from workers.cli.parts import PARTS
from workers.cli.state import ROOT, Ports, Running

READY_S, GONE_S = 90, 25
JSON_LOGS = {"CARERELAY_LOG_FORMAT": "json"}
COUNTS = re.compile(r"'[a-z0-9 ,]*'")  # what a task returns: how many rows ended how


class Up:
    """One `carerelay up` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = Ports(state.free_port(), state.free_port(), state.free_port())
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Running:
        self.process = self.command("up", *stack.port_options(self.ports))
        assert until(self._ready_or_ended, within_s=READY_S), "not ready in time"
        running = state.read_running(self.folder)
        assert running is not None, self.process.communicate()
        return running

    def command(self, *words: str, **more: str) -> subprocess.Popen[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "workers.cli", *words],
            env={**kept, "CARERELAY_STATE": str(self.folder), "CARERELAY_WEB_WORKERS": "1", **JSON_LOGS, **more},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _ready_or_ended(self) -> bool:
        running = state.read_running(self.folder)
        return bool(running and running.ready) or self.process.poll() is not None


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up") / "state")
    up.start()
    yield up
    if up.process.poll() is None:
        up.process.kill()
    up.process.communicate()


def test_every_part_is_ready_and_answers(up: Up) -> None:
    running = state.read_running(up.folder)
    assert set(running.pids) == {"postgres", "redis", *(part.name for part in PARTS)}
    assert all(map(alive, running.pids.values()))
    assert probes.status_of(running.ports.web, "/healthz") == 200
    assert probes.status_of(running.ports.flower, "/") == 401
    assert probes.status_of(running.ports.flower, "/", running.env["FLOWER_BASIC_AUTH"]) == 200


def test_what_parts_keep_for_a_moment_stays_in_the_folder_of_the_stack(up: Up) -> None:
    running = state.read_running(up.folder)
    kept = {psutil.Process(running.pids[part.name]).environ()["TMPDIR"] for part in PARTS}
    assert kept == {str(up.folder / "tmp")}


def test_flower_shows_names_and_times_of_tasks_to_who_has_the_password_and_changes_nothing(up: Up) -> None:
    running = state.read_running(up.folder)
    url, login = f"http://127.0.0.1:{running.ports.flower}", tuple(running.env["FLOWER_BASIC_AUTH"].split(":"))
    for path in ("/api/tasks", "/api/workers", "/tasks"):
        assert requests.get(url + path, timeout=10).status_code == 401
    assert until(lambda: requests.get(f"{url}/api/tasks", auth=login, timeout=10).json(), within_s=30)
    tasks = requests.get(f"{url}/api/tasks", auth=login, timeout=10).json().values()
    assert "sweep.catch_up" in {task["name"] for task in tasks}
    assert {(task["args"], task["kwargs"]) for task in tasks} <= {("()", "{}"), (None, None)}
    assert [task["result"] for task in tasks if task["result"] and not COUNTS.fullmatch(task["result"])] == []
    page = requests.get(f"{url}/tasks", auth=login, timeout=10).text
    shown = [name for name in re.findall(r"<th[^>]*>\s*(\w+)", page) if name]
    assert shown == ["Name", "State", "Received", "Started", "Runtime", "Worker"]
    refused = requests.post(f"{url}/api/worker/shutdown/worker@{socket.gethostname()}", auth=login, timeout=10)
    assert (refused.status_code, refused.text) == (403, "Read only mode is enabled")


def test_each_line_of_each_part_is_one_object(up: Up) -> None:
    for part in PARTS:
        lines = text_of(up.folder / "logs" / f"{part.name}.log").splitlines()
        ours = list(dropwhile(lambda line: not is_object(line), lines))  # Celery warns who runs it as root
        assert ours, part.name
        assert [line for line in ours if not is_object(line)] == [], part.name


def is_object(line: str) -> bool:
    try:
        return {"time", "level", "logger", "message", "process"} <= json.loads(line).keys()
    except ValueError:
        return False


def test_the_web_tells_that_the_beat_goes(up: Up) -> None:
    web = f"http://127.0.0.1:{state.read_running(up.folder).ports.web}"
    assert until(lambda: requests.get(f"{web}/readyz", timeout=10).json()["beat"] == "ok", within_s=30)


def test_a_second_up_is_refused_and_the_first_one_goes_on(up: Up) -> None:
    second = up.command("up", "--web-port", str(state.free_port()))
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"already running in this folder (process {up.process.pid})" in said
    assert up.process.poll() is None


def test_killed_servers_come_back_at_the_same_address(up: Up) -> None:
    before = state.read_running(up.folder)
    for name in ("postgres", "redis"):
        os.kill(before.pids[name], signal.SIGKILL)
    assert until(lambda: all(part.is_ready(before.env) for part in PARTS), within_s=30)
    after = state.read_running(up.folder)
    assert after.env == before.env
    assert after.pids["postgres"] != before.pids["postgres"]
    assert after.pids["redis"] != before.pids["redis"]


def test_a_django_command_runs_beside_it_on_the_same_database_wherever_the_callers_settings_lead(
    up: Up, tmp_path: Path
) -> None:
    another = tmp_path / "url"
    another.write_text("postgresql://127.0.0.1:1/another")
    beside = up.command("manage", "showmigrations", "core", DATABASE_URL_FILE=str(another))
    said, _ = beside.communicate(timeout=60)
    assert beside.returncode == 0, said
    assert "[X] 0001_initial" in said


def test_the_demo_laboratory_ends_as_it_should_and_the_books_agree(up: Up) -> None:
    demo = up.command("demo", "labs")
    said, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, said
    assert "worklist: No patient has this record number." in said
    assert "0 would appear, 0 change, 0 disappear" in said
    assert "NOT as it should be" not in said
    books = up.command("manage", "reconcile", "--part", "laboratory", "--settle-seconds", "0")
    told, _ = books.communicate(timeout=60)
    assert books.returncode == 0, told
    assert "Everything agrees, to the row." in told


def test_kill_9_leaves_nothing_and_the_next_start_goes_on_with_the_data_and_stops_cleanly(up: Up) -> None:
    with psycopg.connect(state.read_running(up.folder).env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    (up.folder / "tmp" / "of a killed part").touch()
    tree = descendants(up.process.pid)
    up.process.kill()
    up.process.communicate()
    assert until(lambda: not any(map(alive, tree)), within_s=GONE_S), [pid for pid in tree if alive(pid)]
    with psycopg.connect(up.start().env["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert not (up.folder / "tmp" / "of a killed part").exists()
    tree = descendants(up.process.pid)
    up.process.send_signal(signal.SIGINT)
    said, _ = up.process.communicate(timeout=GONE_S)
    assert up.process.returncode == 0, said
    assert "goes on with the same data" in said
    assert not any(map(alive, tree))
    assert state.read_running(up.folder) is None
    assert "canceling statement" not in text_of(up.folder / "logs" / "postgres.log")
