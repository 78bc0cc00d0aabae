"""Proves that a stack of a demo's own has nothing of the caller's settings and leaves nothing when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.launcher.processes import alive, descendants, until
from tests.launcher.test_environments import ANOTHERS
from workers.cli.state import ROOT

BEGUN_S, GONE_S = 60, 60


def end(demo: subprocess.Popen[str]) -> None:
    """End a demo with all it started, so that nothing holds what it prints to."""
    for pid in (*descendants(demo.pid), demo.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start the demo of somebody whose shell is set up for a clinic, up to the first step of its stack."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    demo = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "demo", *words],
        env={**kept, **ANOTHERS, "CARERELAY_STATE": str(folder / "none"), "TMPDIR": str(folder)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    late = threading.Timer(BEGUN_S, end, [demo])
    late.start()
    lines = [demo.stdout.readline()]
    while lines[-1] and "[1/" not in lines[-1]:
        lines.append(demo.stdout.readline())
    late.cancel()
    assert lines[-1], lines
    assert any(line.startswith("starting        a stack of its own") for line in lines)
    return demo


def assert_ends_cleanly(demo: subprocess.Popen[str], folder: Path, number: signal.Signals) -> None:
    tree = descendants(demo.pid)
    for _ in range(3):
        demo.send_signal(number)
        time.sleep(0.3)
    said, _ = demo.communicate(timeout=GONE_S)
    assert demo.returncode == 128 + number, said
    assert said.count("Stopping...") == 1
    assert "Traceback" not in said
    assert until(lambda: not any(map(alive, tree)), within_s=5)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_demo_that_is_stopped_says_so_once_and_leaves_no_process_and_no_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    assert_ends_cleanly(started(tmp_path, "labs"), tmp_path, number)


def test_a_stack_of_its_own_is_given_nothing_of_the_callers_settings(tmp_path: Path) -> None:
    demo = started(tmp_path, "--seed", "1")
    (up,) = psutil.Process(demo.pid).children()
    given, words = up.environ(), up.cmdline()
    assert_ends_cleanly(demo, tmp_path, signal.SIGTERM)
    assert "another.example" not in " ".join(given.values())
    assert given["CARERELAY_STATE"].startswith(str(tmp_path / "carerelay-"))
    assert given["SENDGRID_BASE_URL"].startswith("http://127.0.0.1:")
    assert {name for name in given if name in ANOTHERS} == {"TWILIO_ACCOUNT_SID"}
    assert given["TWILIO_ACCOUNT_SID"] != ANOTHERS["TWILIO_ACCOUNT_SID"]
    assert "--no-env-file" in words


WAITING = """
import os, signal, sys, threading, time
from workers.cli import desk, stopping
def wait():
    try:
        desk.until(lambda: [])
    except stopping.Stop:
        print("the thread stopped", flush=True)
thread = threading.Thread(target=wait)
try:
    with stopping.on_signals("Stopping..."):
        thread.start()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        finally:
            thread.join()
except stopping.Stop as stop:
    sys.exit(128 + stop.number)"""


def test_what_waits_in_another_thread_stops_at_once_with_the_command() -> None:
    words = [sys.executable, "-c", WAITING]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "the thread stopped\n", "Stopping...")
