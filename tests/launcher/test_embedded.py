"""The embedded servers under the treatment a laptop gives them: killed, restarted, found half made."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.launcher.processes import alive, text_of, until
from workers.cli import embedded, stack, state

STARTS_POSTGRES = """
import sys, time
from pathlib import Path
from workers.cli import embedded
server = embedded.Postgres(Path(sys.argv[1]))
server.start()
print(server.child.pid, flush=True)
time.sleep(60)
"""


def test_throwaway_servers_are_nobody_elses_however_those_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        (tmp_path / name).write_text("postgresql://the-clinic/carerelay")
        monkeypatch.setenv(name, "postgresql://the-clinic/carerelay")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    with stack.throwaway() as environment:
        asked = subprocess.run(
            [sys.executable, "-c", "from django.conf import settings; print(settings.DATABASES, settings.CACHES)"],
            env=environment,
            cwd=state.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "the-clinic" not in asked.stdout
    assert "127.0.0.1" in asked.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return state.prepare(tmp_path / "state")


@pytest.fixture
def postgres(folder: Path) -> Iterator[embedded.Postgres]:
    server = embedded.Postgres(folder)
    yield server
    server.stop()


@pytest.fixture
def valkey(folder: Path) -> Iterator[embedded.Valkey]:
    server = embedded.Valkey(folder)
    yield server
    server.stop()


def test_committed_rows_survive_kill_9_and_an_open_transaction_does_not(postgres: embedded.Postgres) -> None:
    with psycopg.connect(postgres.start(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO kept VALUES (1001)")
            os.kill(postgres.child.pid, signal.SIGKILL)
            postgres.child.wait()
            assert until(lambda: connection_is_dead(connection), within_s=10)
    with psycopg.connect(postgres.start()) as connection:
        assert connection.execute("SELECT count(*), max(n) FROM kept").fetchone() == (1000, 1000)


def connection_is_dead(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_a_cluster_whose_making_was_cut_off_is_made_again(postgres: embedded.Postgres, folder: Path) -> None:
    half = folder / "postgres" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with psycopg.connect(postgres.start()) as connection:
        assert connection.info.dbname == "carerelay"


def test_a_stale_pid_file_with_the_number_of_another_process_does_not_stop_the_start(
    postgres: embedded.Postgres, folder: Path
) -> None:
    postgres.start()
    postgres.stop()
    (folder / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert postgres.start()
    assert alive(os.getpid())


def test_a_server_that_outlived_its_supervisor_is_ended_before_a_new_one_starts(folder: Path) -> None:
    first, second = embedded.Postgres(folder), embedded.Postgres(folder)
    try:
        first.start()
        second.start()
        assert first.child.poll() is not None
        assert alive(second.child.pid)
    finally:
        second.stop()
        first.stop()


def test_the_server_log_never_holds_a_statement_or_a_row(postgres: embedded.Postgres, folder: Path) -> None:
    with psycopg.connect(postgres.start(), autocommit=True) as connection:
        connection.execute("CREATE TABLE people (email text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES ('canary@example.org')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES ('canary@example.org')")
        with pytest.raises(psycopg.errors.SyntaxError):
            connection.execute("SELEKT 'canary@example.org'")
    log = text_of(folder / "logs" / "postgres.log")
    assert "duplicate key value" in log
    assert "canary" not in log


def test_postgres_ends_with_the_process_that_started_it(folder: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTS_POSTGRES, folder], stdout=subprocess.PIPE, cwd=state.ROOT)
    pid = int(starter.stdout.readline())
    assert alive(pid)
    starter.kill()
    starter.communicate()
    assert until(lambda: not alive(pid), within_s=10)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_without_user_namespaces_runs_it_as_nobody(folder: Path) -> None:
    server = embedded.Postgres(folder, as_=embedded.as_nobody())
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
        server.remove()


def test_queued_messages_survive_kill_9_of_the_broker(valkey: embedded.Valkey) -> None:
    client = redis.Redis.from_url(valkey.start())
    client.lpush("reminders", *range(500))
    assert client.execute_command("WAITAOF", 1, 0, 20_000)[0] == 1, (
        "written down within a second, or a slow disk's more"
    )
    valkey.child.kill()
    valkey.child.wait()
    assert redis.Redis.from_url(valkey.start()).llen("reminders") == 500


def test_the_broker_refuses_strangers_and_keeps_its_password_private(valkey: embedded.Valkey, folder: Path) -> None:
    stranger = redis.Redis.from_url("redis://" + valkey.start().rpartition("@")[2])
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    private = [path for path in (folder / "valkey").iterdir() if path.name in ("password", "valkey.conf")]
    assert [path.stat().st_mode & 0o777 for path in private] == [0o600, 0o600]
