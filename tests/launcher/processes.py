"""Looking at real processes; without it each test would poll in its own way."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

UNSHARE = shutil.which("unshare") or "/bin/false"


def can_make_namespaces() -> bool:
    return subprocess.run([UNSHARE, "-Urm", "true"], capture_output=True, check=False).returncode == 0


def until(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Wait until the condition holds; return whether it did."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def text_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
