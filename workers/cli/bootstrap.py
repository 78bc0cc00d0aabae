"""Makes `.venv` hold exactly what `requirements.lock` says; without it a fresh clone could not start.

Runs under any Python 3.11+ before anything is installed, hence the standard library only. Called by `./carerelay`.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STATE = ROOT / ".carerelay"
DONE = VENV / ".installed"  # holds the checksum of the lock file it was installed from
BEGUN = STATE / "installing"  # left behind by an install that was cut off
OWN_CACHE = STATE / "uv-cache"  # for a user without a home
ROOM_FOR_PACKAGES = 700 * 1024 * 1024
APT = (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "python3-venv"])


class Refused(Exception):
    """The install cannot go on; the text is the sentence for the person at the terminal."""


def main(wanted: str) -> int:
    try:
        STATE.mkdir(mode=0o700, exist_ok=True)
        with (STATE / "install.lock").open("w") as lock:
            wait_for_turn(lock.fileno())
            if not is_good(wanted):
                install(wanted)
    except Refused as refusal:
        return complain(str(refusal))
    except KeyboardInterrupt:
        return complain("install interrupted; the next run starts it afresh.")
    except OSError as error:
        return complain(reason(error))
    return 0


def is_good(wanted: str) -> bool:
    return DONE.exists() and DONE.read_text().strip() == wanted and runs(PYTHON)


def install(wanted: str) -> None:
    """Bring `.venv` to the state of the lock file. Whatever a cut-off run left is thrown away first."""
    if BEGUN.exists() or not runs(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
    DONE.unlink(missing_ok=True)
    BEGUN.touch()
    say(f"1/2 virtual environment with Python {sys.version.split()[0]} in .venv")
    if not PYTHON.exists():
        require_room()
        make_venv()
    say(f"2/2 {count_packages()} locked packages, each checked by hash")
    if not (install_uv() and sync_with_uv()):
        say("uv could not do it; pip takes about a minute")
        sync_with_pip()
    shutil.rmtree(OWN_CACHE, ignore_errors=True)
    DONE.write_text(wanted)
    BEGUN.unlink()


def make_venv() -> None:
    """Try the ways a machine may offer; Debian's Python often comes without ensurepip."""
    if call([sys.executable, "-m", "venv", str(VENV)], quiet=True):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if runs(Path(sys.executable), "import pip") and call([sys.executable, "-m", "venv", "--without-pip", str(VENV)]):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("this Python cannot put pip into a virtual environment: installing python3-venv with apt-get")
        if all(call(command) for command in (*APT, [sys.executable, "-m", "venv", str(VENV)])):
            return
        shutil.rmtree(VENV, ignore_errors=True)
    require_room()
    raise Refused(
        "this Python can make no virtual environment with pip in it. "
        "Install its venv package (Debian, Ubuntu: apt-get install python3-venv) or set PYTHON to another Python."
    )


def install_uv() -> bool:
    """Put the locked uv into the venv, checked against its own hashes."""
    block = STATE / "uv.txt"
    block.write_text(block_of("uv"))
    try:
        return call([*pip(), "install", "-q", "--require-hashes", "--no-deps", "-r", str(block)])
    finally:
        block.unlink()


def sync_with_uv() -> bool:
    """Install what is locked, compiled, as pip does: who may write no bytecode would compile it at each start."""
    words = ["--compile-bytecode", "--require-hashes", *([] if sys.stderr.isatty() else ["-q"])]
    command = [str(VENV / "bin" / "uv"), "pip", "sync", *words, "--python", str(PYTHON), str(LOCK)]
    return call(command, env=uv_environment())


def sync_with_pip() -> None:
    if not call([*pip(), "install", "-q", "--require-hashes", "-r", str(LOCK)]):
        require_room()
        raise Refused("the packages could not be installed; the lines above say why. Run the command again to retry.")


def uv_environment() -> dict[str, str]:
    """The caller's environment plus what uv would not find out by itself.

    It trusts the machine's certificates (company proxies) and, because it reads no pip.conf, is told what pip knows.
    Every package is pinned by hash, so it does not matter which index serves it.
    """
    known = {"UV_SYSTEM_CERTS": "true", "UV_INDEX_STRATEGY": "unsafe-best-match", **pip_settings()}
    if not writable_cache():
        known["UV_CACHE_DIR"] = str(OWN_CACHE)
    return {**known, **os.environ}


def pip_settings() -> dict[str, str]:
    """Translate pip's configured indexes into uv's variables."""
    answer = subprocess.run(
        [*pip(), "config", "list"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    pairs = [line.partition("=") for line in answer.stdout.splitlines()]
    values = {key.rpartition(".")[2]: value.strip("'\"").replace("\\n", " ").split() for key, _, value in pairs}
    wanted = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX": "extra-index-url"}
    found = {variable: " ".join(values[key]) for variable, key in wanted.items() if values.get(key)}
    if values.get("find-links"):
        found["UV_FIND_LINKS"] = ",".join(values["find-links"])
    return found


def writable_cache() -> bool:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/nonexistent")) / ".cache")
    while not cache.exists():
        cache = cache.parent
    return os.access(cache, os.W_OK)


def pip() -> list[str]:
    """The venv's own pip, or the system's pip pointed at the venv."""
    quiet = ["--disable-pip-version-check", *([] if writable_cache() else ["--no-cache-dir"])]
    if runs(PYTHON, "import pip"):
        return [str(PYTHON), "-m", "pip", *quiet]
    return [sys.executable, "-m", "pip", *quiet, "--python", str(PYTHON)]


def block_of(package: str) -> str:
    """Return the lines of one package (its pin and its hashes) from the lock file."""
    lines = LOCK.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next((number for number in range(start + 1, len(lines)) if not lines[number].startswith(" ")), len(lines))
    return "\n".join(lines[start:end]) + "\n"


def count_packages() -> int:
    return sum(1 for line in LOCK.read_text().splitlines() if "==" in line and not line.startswith(" "))


def wait_for_turn(descriptor: int) -> None:
    """Two first runs at once: the second waits here and then finds the work done."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another ./carerelay is installing here; waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def require_room() -> None:
    if shutil.disk_usage(ROOT).free < ROOM_FOR_PACKAGES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def runs(python: Path, code: str = "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))") -> bool:
    return python.exists() and call([str(python), "-I", "-c", code], quiet=True)


def call(command: list[str], *, quiet: bool = False, env: Mapping[str, str] | None = None) -> bool:
    """Run a command to its end; its output goes to the standard error stream unless quiet."""
    out = subprocess.DEVNULL if quiet else sys.stderr
    try:
        return (
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env).returncode
            == 0
        )
    except (FileNotFoundError, PermissionError):  # PermissionError: not for this machine, or mounted noexec
        return False


def reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = ROOM_FOR_PACKAGES // (1024 * 1024)
        return f"the disk is full: the packages need about {needed} MB free in {ROOT}."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"the folder {ROOT} is not writable for this user: it must hold .venv and .carerelay."
    return f"cannot prepare {ROOT}: {error.strerror}."


def say(text: str) -> None:
    print(f"[setup] {text}", file=sys.stderr, flush=True)


def complain(sentence: str) -> int:
    print(f"carerelay: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
