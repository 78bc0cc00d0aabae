"""The entry point of every container: secrets out of files, then the part itself in our place."""

import os
import subprocess
import sys
from pathlib import Path

from workers.cli import part, parts
from workers.cli.state import ROOT


def test_secrets_are_read_from_their_files_and_everything_else_has_a_default(tmp_path: Path) -> None:
    for name, value in (("db", "postgresql://h/d\n"), ("broker", "redis://h/0"), ("login", "carerelay:pass")):
        (tmp_path / name).write_text(value)
    given = {
        "DATABASE_URL_FILE": str(tmp_path / "db"),
        "REDIS_URL_FILE": str(tmp_path / "broker"),
        "FLOWER_BASIC_AUTH_FILE": str(tmp_path / "login"),
        "CARERELAY_BIND": "0.0.0.0",  # noqa: S104 - what a container has to do
    }
    found = part.environment(given)
    assert found["DATABASE_URL"] == "postgresql://h/d"
    assert found["FLOWER_BASIC_AUTH"] == "carerelay:pass"
    argv = parts.named("web").argv(found)
    assert argv[argv.index("--host") + 1] == "0.0.0.0"  # noqa: S104 - the same
    assert argv[argv.index("--port") + 1] == "8000"


def test_no_secret_reaches_a_command_line() -> None:
    settings = {**parts.DEFAULTS, "DATABASE_URL": "postgresql://u:canary@h/d", "REDIS_URL": "redis://:canary@h/0"}
    settings["FLOWER_BASIC_AUTH"] = "carerelay:canary"
    for one in parts.PARTS:
        assert "canary" not in " ".join(one.argv(settings))


def test_a_container_without_a_database_says_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "workers.cli.part", "web"]
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "carerelay: Set DATABASE_URL or DATABASE_URL_FILE.\n")


def test_a_part_that_does_not_run_is_not_healthy() -> None:
    env = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    for name in ("web", "worker", "mllp"):
        env[f"CARERELAY_{name.upper()}_PORT"] = "1"
        command = [sys.executable, "-m", "workers.cli.part", name, "--check"]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, ""), name
