"""Servers, secrets and settings of one running CareRelay; without it each command would gather them its own way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from workers.cli import console, embedded, environments, logs, processes, state, stopping
from workers.cli.embedded import Server
from workers.cli.errors import Refused
from workers.cli.parts import DEFAULTS
from workers.cli.state import ROOT, Ports, Running

CONNECT_S = 5
OLDEST = 18  # of PostgreSQL: it makes keys by time itself (uuidv7)
REVIVE_AGAIN_S = 2.0
OWN_STACK_LIMIT_S = 300
OWN_STACK_STOP_S = 45
STEP = re.compile(r"\[\d+/\d+\] .*\n")  # of a start


@dataclass
class Servers:
    """DATABASE_URL and REDIS_URL, and the embedded servers behind them (none when the caller brought his own)."""

    urls: dict[str, str] = field(default_factory=dict)
    own: dict[str, Server] = field(default_factory=dict)
    again_at: dict[str, float] = field(default_factory=dict)

    def revive(self, show: Callable[[str, str], None]) -> None:
        """Start a server again that died; try later when it cannot start yet.

        Redis first: it is back at once, while PostgreSQL may have much to replay, and a worker asks for it less and
        less often.
        """
        for name, server in reversed(self.own.items()):
            if server.is_down() and time.monotonic() >= self.again_at.get(name, 0):
                show(name, "died; starts again")
                try:
                    server.start()
                except Refused as refusal:
                    show(name, str(refusal))
                    self.again_at[name] = time.monotonic() + REVIVE_AGAIN_S

    def pids(self) -> dict[str, int]:
        return {name: server.child.pid for name, server in self.own.items() if server.child}


@contextmanager
def servers(folder: Path, caller: Mapping[str, str], steps: console.Steps) -> Iterator[Servers]:
    """Yield the caller's servers, once they answer, or embedded ones."""
    found = Servers()
    with ExitStack() as cleanup:
        with steps.step("PostgreSQL") as outcome:
            database_url = secret(caller, "DATABASE_URL")
            if database_url:
                check_database(
                    secret(caller, "DATABASE_OWNER_URL") or database_url
                )  # who may not have made the other yet
                outcome.append("DATABASE_URL answers")
            else:
                found.own["postgres"] = embedded.Postgres(folder, port=embedded.POSTGRES_PORT)
                database_url = run(found.own["postgres"], cleanup)
                outcome.append("embedded")
        with steps.step("Redis") as outcome:
            redis_url = secret(caller, "REDIS_URL")
            if redis_url:
                check_redis(redis_url)
                outcome.append("REDIS_URL answers")
            else:
                found.own["redis"] = embedded.Valkey(folder, port=embedded.VALKEY_PORT)
                redis_url = run(found.own["redis"], cleanup)
                outcome.append("embedded (Valkey)")
        found.urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        yield found


@contextmanager
def throwaway(options: tuple[str, ...] = embedded.THROWAWAY) -> Iterator[dict[str, str]]:
    """Yield the settings of servers that live in a temporary folder and end with the block."""
    folder = state.prepare(Path(tempfile.mkdtemp(prefix="carerelay-")))
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = embedded.Postgres(folder, options=options)
        cleanup.callback(postgres.remove)
        urls = {
            "DATABASE_URL": run(postgres, cleanup),
            "REDIS_URL": run(embedded.Valkey(folder, databases=64), cleanup),
        }
        yield settings(folder, environments.of_a_trial(os.environ), urls, Ports())


def without_servers(caller: Mapping[str, str]) -> dict[str, str]:
    """Return settings that name nobody's PostgreSQL and Redis, neither themselves nor by a file."""
    ours = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")
    return {name: value for name, value in caller.items() if not name.startswith(ours)}


def run(server: Server, cleanup: ExitStack) -> str:
    cleanup.callback(server.stop)  # first: a server that fails while starting is stopped too
    return server.start()


def settings(folder: Path, caller: Mapping[str, str], urls: Mapping[str, str], ports: Ports) -> dict[str, str]:
    """Return the whole environment of a part or a Django command."""
    own = {
        "CARERELAY_DATA_DIR": str(folder / "data"),
        "CARERELAY_BEAT_FILE": str(folder / "data" / "beat-schedule"),
        "CARERELAY_PUBLIC_BASE_URL": f"http://{state.HOST}:{ports.web}",
        **state.own_secrets(folder),
    }
    return {
        **DEFAULTS,
        **own,
        **caller,
        **urls,
        "CARERELAY_STATE": str(folder),
        "CARERELAY_WEB_PORT": str(ports.web),
        "CARERELAY_MLLP_PORT": str(ports.mllp),
        "CARERELAY_FLOWER_PORT": str(ports.flower),
        "DJANGO_SETTINGS_MODULE": "backend.config.settings",
        "PYTHONPATH": str(ROOT),
    }


def secret(caller: Mapping[str, str], name: str) -> str:
    """Return a value given as NAME or in the file that NAME_FILE names; empty when neither is set."""
    if path := caller.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise Refused(f"{name}_FILE names a file that cannot be read: {error.strerror}.") from error
    return caller.get(name, "")


def check_database(url: str) -> None:
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_S) as connection:
            version = connection.info.server_version // 10_000
    except (psycopg.Error, UnicodeError) as error:
        raise Refused(unreachable("DATABASE_URL", "PostgreSQL", error)) from error
    refuse_old(version)


def refuse_old(version: int) -> None:
    """Refuse a server that lacks functions our tables are made with; they would fail in their middle."""
    if version < OLDEST:
        raise Refused(f"DATABASE_URL names a PostgreSQL {version}; {OLDEST} or newer is needed.")


def check_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise Refused(unreachable("REDIS_URL", "Redis", error)) from error


def unreachable(variable: str, server: str, error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".")
    return f"{variable} is set but {server} does not answer: {reason}. Unset it to use the embedded server."


def manage(words: list[str]) -> list[str]:
    return [sys.executable, str(ROOT / "backend" / "manage.py"), *words]


def module(name: str, words: list[str]) -> list[str]:
    return [sys.executable, "-m", name, *words]


def captured(running: Running, words: list[str], within_s: float) -> subprocess.CompletedProcess[str]:
    """Run a Django command on that stack, and on no other the caller may have settings of; return what it said."""
    env = {**environments.of_machine(os.environ), **running.env}
    try:
        return subprocess.run(
            manage(words), env=env, cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"`manage {words[0]}` did not end within {within_s:.0f} s.") from None


def in_terminal(command: list[str], env: Mapping[str, str]) -> int:
    """Run a command that shares our terminal and return its exit code; Ctrl-C is for it, we wait for its end."""
    with subprocess.Popen(command, env=dict(env), cwd=ROOT) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue


@contextmanager
def beside() -> Iterator[dict[str, str]]:
    """Yield the environment of the stack that runs here, or of its servers, started for this block.

    Raises:
        Refused: Compose holds the installation: an embedded database beside it would be another, empty one.
    """
    folder, caller = state.state_folder(), state.settings_of_caller()
    if running_here := state.read_running(folder):
        yield environments.beside(running_here.env, caller)
        return
    refuse_beside_compose(caller)
    state.prepare(folder)
    with state.Lock(folder), console.Steps(2, quiet=True) as steps, servers(folder, caller, steps) as found:
        yield settings(folder, caller, found.urls, state.chosen_ports(caller))


def refuse_beside_compose(caller: Mapping[str, str]) -> None:
    """Refuse where `carerelay secrets` made the files of Compose and nobody named another database."""
    made = ROOT / (caller.get("CARERELAY_SECRETS") or "secrets") / "database_url"
    if made.exists() and not secret(caller, "DATABASE_URL"):
        raise Refused(
            "Compose holds this installation, and this would work on another database. Run "
            "`docker compose exec web python backend/manage.py ...`, as the owner of the tables "
            "`docker compose run --rm migrate python backend/manage.py ...`; or start `./carerelay up` first if you "
            "mean its own database."
        )


def place(url: str) -> str:
    """Return where a database is, as "127.0.0.1:15432/carerelay", without who signs in there."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def here() -> Running | None:
    """Return the stack that runs in this checkout, if one does and is ready."""
    found = state.read_running(state.state_folder())
    return found if found and found.ready else None


@contextmanager
def running() -> Iterator[Running]:
    """Yield the stack that runs in this checkout, or one of our own on free ports that ends with the block."""
    if found := here():
        yield found
        return
    with own_stack() as own:
        yield own


@contextmanager
def own_stack(more: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Yield a stack on free ports that ends with the block; it has no setting of the caller's, only `more`."""
    cleanup = ExitStack()
    try:
        folder = Path(tempfile.mkdtemp(prefix="carerelay-"))
        cleanup.callback(remove, folder)
        child = started(folder, more or {})
        cleanup.callback(processes.finish, child, by=signal.SIGTERM, within_s=OWN_STACK_STOP_S)
        yield await_ready(folder, child)
    finally:
        with stopping.undisturbed():
            cleanup.close()


def started(folder: Path, more: Mapping[str, str]) -> processes.Child:
    """Start a stack in this folder; what it says goes to the folder's `up.log`."""
    console.say(f"{'starting':16}a stack of its own, which takes a minute or two")
    ports = Ports(state.free_port(), state.free_port(), state.free_port())
    own = {"CARERELAY_STATE": str(folder), "CARERELAY_MLLP_TLS_PORT": str(state.free_port())}
    words = ["up", "--quiet", "--no-env-file", *port_options(ports)]
    env = {**environments.of_machine(os.environ), **own, **more}
    with (folder / "up.log").open("wb") as log:
        return processes.spawn(module("workers.cli", words), env=env, output=log, cwd=ROOT)


def remove(folder: Path) -> None:
    """Throw away the folder of a stopped stack, and its cluster, which another user may keep elsewhere."""
    try:
        embedded.Postgres(folder).remove()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def port_options(ports: Ports) -> list[str]:
    named = {"--web-port": ports.web, "--mllp-port": ports.mllp, "--flower-port": ports.flower}
    return [word for option, port in named.items() for word in (option, str(port))]


def await_ready(folder: Path, child: processes.Child) -> Running:
    """Wait until the stack in this folder is ready, telling its steps."""
    log, told, deadline = folder / "up.log", 0, time.monotonic() + OWN_STACK_LIMIT_S
    while time.monotonic() < deadline and child.poll() is None:
        steps = [line for line in log.read_text(errors="replace").splitlines(keepends=True) if STEP.fullmatch(line)]
        for line in steps[told:]:
            console.say(f"{'starting':16}{line.rstrip()}")
        told = len(steps)
        found = state.read_running(folder)
        if found and found.ready:
            return found
        stopping.pause(0.2)
    raise Refused(f"A stack of its own did not become ready: {logs.last_line(log)}")
