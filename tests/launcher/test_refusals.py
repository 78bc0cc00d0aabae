"""Bad input to the real command: one sentence, exit code 1, never a traceback."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.launcher.processes import UNSHARE, can_make_namespaces
from workers.cli import stack, state
from workers.cli.errors import Refused
from workers.cli.state import ROOT, Lock


def carerelay(folder: Path, *words: str, before: Sequence[str] = (), **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ports = {f"CARERELAY_{name}_PORT": str(state.free_port()) for name in ("WEB", "MLLP", "FLOWER")}
    return subprocess.run(
        [*before, sys.executable, "-m", "workers.cli", *words],
        env={**kept, **ports, "CARERELAY_STATE": str(folder), **more},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith("carerelay: ")
    for word in words:
        assert word in sentence


def test_a_second_up_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Lock(state.prepare(tmp_path)):
        done = carerelay(tmp_path, "up")
    assert_refused(done, "already running", f"process {os.getpid()}", "CARERELAY_STATE")


def test_a_command_on_a_host_of_compose_works_on_no_other_database_by_mistake(tmp_path: Path) -> None:
    made = tmp_path / "secrets"
    made.mkdir()
    (made / "database_url").write_text("postgresql://u:p@postgres/carerelay")
    for words in (("manage", "keys", "rotate"), ("export", "--out", str(tmp_path / "out"))):
        done = carerelay(tmp_path / "state", *words, CARERELAY_SECRETS=str(made))
        assert_refused(
            done, "Compose holds this installation", "docker compose run --rm migrate python backend/manage.py"
        )
    assert not (tmp_path / "state" / "postgres").exists()
    stack.refuse_beside_compose({"CARERELAY_SECRETS": str(made), "DATABASE_URL": "postgresql://named"})
    assert stack.place("postgresql://u:canary@127.0.0.1:15432/carerelay?sslmode=x") == "127.0.0.1:15432/carerelay"


def test_a_server_too_old_for_our_tables_is_refused() -> None:
    stack.refuse_old(stack.OLDEST)
    with pytest.raises(Refused, match=f"names a PostgreSQL 15; {stack.OLDEST} or newer is needed"):
        stack.refuse_old(15)


@pytest.mark.parametrize("part", ["web", "mllp", "flower"])
def test_a_busy_public_port_is_named_together_with_its_option(tmp_path: Path, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = carerelay(tmp_path, "up", f"--{part}-port", str(port))
    assert_refused(done, f"Port {port} is in use", f"--{part}-port")
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:secret-word@127.0.0.1:1/x", "onnection refused"),
        ("postgresql://nobody-here.invalid/x", "nobody-here.invalid"),
        ("nonsense", "missing"),
    ],
)
def test_an_unreachable_database_is_refused_with_the_drivers_reason(tmp_path: Path, url: str, reason: str) -> None:
    done = carerelay(tmp_path, "up", DATABASE_URL=url)
    assert_refused(done, "DATABASE_URL is set but", reason, "Unset it to use the embedded server")
    assert "secret-word" not in done.stderr
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "nonsense"])
def test_an_unreachable_redis_is_refused_and_the_database_started_before_is_stopped(tmp_path: Path, url: str) -> None:
    done = carerelay(tmp_path, "up", REDIS_URL=url)
    assert_refused(done, "REDIS_URL is set but", "Unset it to use the embedded server")
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()


def test_a_secret_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = carerelay(tmp_path, "up", DATABASE_URL_FILE=str(tmp_path / "none"))
    assert_refused(done, "DATABASE_URL_FILE", "No such file")


@pytest.mark.parametrize("port", ["0", "65536", "web", "\uff18\uff10"])
def test_a_port_that_is_no_port_is_refused(tmp_path: Path, port: str) -> None:
    assert_refused(carerelay(tmp_path, "up", CARERELAY_WEB_PORT=port), f"CARERELAY_WEB_PORT={port} is not a port")


def test_a_state_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_refused(carerelay(tmp_path / "file" / "below", "up"), "cannot be used", "CARERELAY_STATE")


@pytest.mark.parametrize("words", [("send", "none.hl7"), ("ingest", "none.hl7")])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert_refused(carerelay(tmp_path, *words), "There is no file or folder none.hl7")


def test_an_unknown_command_and_help_speak_of_all_commands(tmp_path: Path) -> None:
    unknown, help_ = carerelay(tmp_path, "upp"), carerelay(tmp_path, "--help")
    assert (unknown.returncode, help_.returncode) == (2, 0)
    for command in ("up", "test", "demo", "bench", "fuzz", "send", "ingest", "manage"):
        assert f"  {command} " in help_.stdout
        assert command in unknown.stderr


@pytest.mark.skipif(not can_make_namespaces(), reason="mounting needs user namespaces, which are off here")
def test_a_full_disk_is_named_as_the_reason(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=20m none "$1" && shift && exec "$@"'
    done = carerelay(tmp_path, "up", before=(UNSHARE, "-Urm", "sh", "-c", mount, "sh", str(tmp_path)))
    assert_refused(done, "PostgreSQL could not make its data folder: the disk is full")
