"""The supervisor with real child processes that die, hang and talk."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.launcher.processes import alive, descendants, text_of, until
from workers.cli.parts import Part
from workers.cli.state import ROOT
from workers.cli.supervisor import BACK_OFF_S, Supervisor

PATIENCE_S = 20.0
SUPERVISES_FOREVER = """
import sys
from pathlib import Path
from tests.launcher.test_supervisor import script
from workers.cli.supervisor import Supervisor
supervisor = Supervisor(Path(sys.argv[1]), show=print)
supervisor.start(script("one", "import time; time.sleep(60)"), {})
supervisor.start(script("two", "import subprocess; subprocess.run(['sleep', '60'])"), {})
print("started", flush=True)
while True:
    supervisor.tick(0.1)
"""


@dataclass(frozen=True)
class Script(Part):
    """A part that is a line of Python."""

    def argv(self, settings: object) -> list[str]:
        return [sys.executable, "-c", *self.words]


def script(name: str, code: str) -> Script:
    return Script(name, (code,), is_ready=lambda _settings: True)


class Terminal:
    """What the person would see."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def show(self, part: str, line: str) -> None:
        self.lines.append((part, line))


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def supervisor(tmp_path: Path, terminal: Terminal) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path, show=terminal.show)
    yield supervisor
    supervisor.stop()


def tick_until(supervisor: Supervisor, condition: Callable[[], object]) -> None:
    assert until(lambda: bool(supervisor.tick(0.05) or condition()), within_s=PATIENCE_S)


def test_a_part_that_dies_is_started_again_each_time_later(supervisor: Supervisor, terminal: Terminal) -> None:
    began = time.monotonic()
    supervisor.start(script("worker", "print('at work'); raise SystemExit(3)"), {})
    tick_until(supervisor, lambda: terminal.lines.count(("worker", "at work")) == 3)
    assert time.monotonic() - began > 1 + 2
    told = [line for _, line in terminal.lines if line.startswith("ended")]
    assert told[:2] == ["ended with exit code 3; starts again in 1 s", "ended with exit code 3; starts again in 2 s"]
    assert BACK_OFF_S[-1] == 30


def test_a_killed_part_is_a_new_process_afterwards_and_the_other_one_is_untouched(
    supervisor: Supervisor, terminal: Terminal
) -> None:
    for name in ("web", "beat"):
        supervisor.start(script(name, "import time; time.sleep(60)"), {})
    before = supervisor.pids()
    os.kill(before["web"], signal.SIGKILL)
    tick_until(supervisor, lambda: supervisor.pids().get("web", before["web"]) != before["web"])
    after = supervisor.pids()
    assert after["beat"] == before["beat"]
    assert after["web"] != before["web"]
    assert alive(after["web"])
    assert ("web", "was ended by SIGKILL; starts again in 1 s") in terminal.lines


def test_what_a_dead_part_left_behind_is_killed_before_it_starts_again(
    supervisor: Supervisor, terminal: Terminal, tmp_path: Path
) -> None:
    leaves_a_child = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    supervisor.start(script("web", leaves_a_child), {})
    tick_until(supervisor, lambda: ("web", "ended with exit code 0; starts again in 1 s") in terminal.lines)
    [left_behind] = text_of(tmp_path / "web.log").split()
    assert until(lambda: not alive(int(left_behind)), within_s=PATIENCE_S), "nothing starts while nobody ticks"


def test_output_goes_to_the_log_whole_and_to_the_terminal_line_by_line(
    supervisor: Supervisor, terminal: Terminal, tmp_path: Path
) -> None:
    code = (
        "import time; print('half', end='', flush=True); time.sleep(.3); print(' a line'); print('x' * 99999, end='')"
    )
    supervisor.start(script("mllp", code), {})
    tick_until(supervisor, lambda: len(terminal.lines) >= 2)
    said = [line for part, line in terminal.lines if part == "mllp"]
    assert said[:2] == ["half a line", "x" * 99999]
    assert text_of(tmp_path / "mllp.log") == "half a line\n" + "x" * 99999


def test_a_clean_stop_lets_a_part_finish_its_work(supervisor: Supervisor, terminal: Terminal) -> None:
    code = (
        "import signal, time\n"
        "def finish(*_): time.sleep(.5); print('finished'); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, finish); print('ready', flush=True); time.sleep(60)"
    )
    supervisor.start(script("worker", code), {})
    tick_until(supervisor, lambda: ("worker", "ready") in terminal.lines)
    supervisor.stop()
    assert terminal.lines[-1] == ("worker", "finished")


def test_a_part_that_ignores_the_stop_is_killed(supervisor: Supervisor, terminal: Terminal) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    supervisor.start(script("flower", code), {})
    tick_until(supervisor, lambda: terminal.lines)
    pid = supervisor.pids()["flower"]
    supervisor.stop(within_s=0.5)
    assert not alive(pid)
    assert terminal.lines[-1] == ("flower", "did not stop in time and is killed")


def test_kill_9_of_the_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISES_FOREVER, tmp_path], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert supervisor.stdout.readline() == b"started\n"
    assert until(lambda: len(descendants(supervisor.pid)) == 3, within_s=PATIENCE_S)
    started = descendants(supervisor.pid)
    supervisor.kill()
    supervisor.communicate()
    direct = started[:2]
    assert until(lambda: not any(map(alive, direct)), within_s=PATIENCE_S)
