"""What `stack.json` says, and when nobody may believe it."""

import subprocess
import sys
from pathlib import Path

from workers.cli import state
from workers.cli.state import ROOT, Lock, Ports, Running

STACK = Running(Ports(), {"DATABASE_URL": "postgresql://"}, {"web": 1}, ready=True)
WRITE = "from tests.launcher.test_state import *; import sys; state.write_running(Path(sys.argv[1]), STACK)"


def test_what_runs_is_told_while_its_lock_is_held(tmp_path: Path) -> None:
    state.write_running(tmp_path, STACK)
    with Lock(tmp_path):
        assert state.read_running(tmp_path) == STACK
    assert state.read_running(tmp_path) is None


def test_what_a_killed_start_left_is_not_believed_while_the_next_one_begins(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], cwd=ROOT, check=True)
    with Lock(tmp_path):
        assert state.read_running(tmp_path) is None
