"""The state folder `.carerelay/` and who may use it; without it two stacks would write the same data."""

import base64
import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from dotenv import dotenv_values

from workers.cli.errors import Refused

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


def state_folder() -> Path:
    return Path(os.environ.get("CARERELAY_STATE") or ROOT / ".carerelay").absolute()


def prepare(folder: Path) -> Path:
    """Make the folder (private to this user) or say why it cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        (folder / "data" / "static").mkdir(parents=True, exist_ok=True)  # WhiteNoise warns when it is missing
    except OSError as error:
        raise Refused(
            f"The folder {folder} cannot be used: {error.strerror}. CARERELAY_STATE names another."
        ) from error
    return folder


def emptied(folder: Path) -> Path:
    """Make a folder anew, for what parts keep for a moment; a part that is killed leaves it there, not in /tmp."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class Lock:
    """One stack per state folder. The kernel lets go of it however the holder ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor: int | None = None

    def take(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor
        return True

    def take_soon(self) -> bool:
        """Try for a moment: a reader of `stack.json` holds the lock for an instant to see whether anybody does."""
        for _ in range(5):
            if self.take():
                return True
            time.sleep(0.1)
        return False

    def holder(self) -> str:
        return self._path.read_text().strip() if self._path.exists() else ""

    def __enter__(self) -> Self:
        if not self.take_soon():
            raise Refused(
                f"CareRelay is already running in this folder (process {self.holder()}). Stop it first, or give this "
                "one CARERELAY_STATE=/another/folder and other ports."
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True)
class Ports:
    """Where the public parts listen."""

    web: int = 8000
    mllp: int = 2575
    flower: int = 5555


def chosen_ports(caller: Mapping[str, str], options: Mapping[str, int | None] | None = None) -> Ports:
    """Return the public ports: an option wins over CARERELAY_<NAME>_PORT, which wins over the default."""
    chosen = {}
    for name in ("web", "mllp", "flower"):
        variable = f"CARERELAY_{name.upper()}_PORT"
        given = (options or {}).get(name) or caller.get(variable)
        if given:
            chosen[name] = port_number(given, variable)
    ports = Ports(**chosen)
    if len({ports.web, ports.mllp, ports.flower}) < 3:
        raise Refused("Web, MLLP and Flower need three different ports.")
    return ports


def port_number(given: int | str, name: str) -> int:
    if not str(given).isascii() or not str(given).isdigit() or not 0 < int(given) < 65536:
        raise Refused(f"{name}={given} is not a port: a number from 1 to 65535.")
    return int(given)


@dataclass(frozen=True)
class Running:
    """What `stack.json` says about a stack: enough to talk to it and to run a command beside it."""

    ports: Ports
    env: dict[str, str]
    pids: dict[str, int]
    ready: bool

    @property
    def web_url(self) -> str:
        return f"http://{HOST}:{self.ports.web}"

    @property
    def mllp_address(self) -> tuple[str, int]:
        return HOST, self.ports.mllp

    @property
    def flower_url(self) -> str:
        return f"http://{HOST}:{self.ports.flower}"


def write_running(folder: Path, running: Running) -> None:
    """Replace `stack.json` in one step: a reader sees the old or the new one, never half of it."""
    fresh = folder / "stack.json.new"
    write_private(fresh, json.dumps({**asdict(running), "supervisor": os.getpid()}, indent=1))
    fresh.replace(folder / "stack.json")


def read_running(folder: Path) -> Running | None:
    """Return the stack that runs in this folder now, or None.

    A held lock alone does not tell: the next start holds it too, before it has put away what a killed one wrote.
    """
    path = folder / "stack.json"
    if not is_held(folder):
        return None
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if not psutil.pid_exists(content.get("supervisor", 0)):
        return None
    return Running(Ports(**content["ports"]), content["env"], content["pids"], content["ready"])


def is_held(folder: Path) -> bool:
    lock = Lock(folder)
    if not folder.exists() or not lock.take():
        return folder.exists()
    lock.__exit__(None, None, None)
    return False


def write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def own_secrets(folder: Path) -> dict[str, str]:
    """Return this installation's secrets, made on first use and kept in `secrets.env` (mode 0600)."""
    path = folder / "secrets.env"
    kept = {name: value for name, value in dotenv_values(path).items() if value} if path.exists() else {}
    made = {
        "CARERELAY_SECRET_KEY": secrets.token_urlsafe(48),
        "CARERELAY_JWT_KEY": secrets.token_urlsafe(48),
        "CARERELAY_FIELD_KEYS": key_entry(),
        "CARERELAY_INDEX_KEYS": key_entry(),
        "FLOWER_BASIC_AUTH": f"carerelay:{secrets.token_urlsafe(18)}",
        "CARERELAY_SANDBOX_TOKEN": secrets.token_urlsafe(32),
        "CARERELAY_AUDIT_KEY": audit_key(),
    }
    complete = {**made, **kept}
    if complete != kept:
        write_private(path, "".join(f"{name}={value}\n" for name, value in complete.items()))
    return complete


def audit_key() -> str:
    """Return a new Ed25519 key as its seed in base64; it signs the seals of the audit log."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def key_entry() -> str:
    """Return a new key of 32 bytes as CARERELAY_FIELD_KEYS and CARERELAY_INDEX_KEYS hold it: "id:base64"."""
    made = base64.b64encode(secrets.token_bytes(32)).decode()
    return f"k{secrets.token_hex(3)}:{made}"


def settings_of_caller() -> dict[str, str]:
    """Return the environment; what it does not set may stand in `.env`."""
    from_file = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    return {**from_file, **os.environ}


def is_free(port: int) -> bool:
    """Tell whether a server could listen here; SO_REUSEADDR keeps TIME_WAIT from looking like a server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0) -> int:
    """Return the preferred port if it is free, else any other."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
