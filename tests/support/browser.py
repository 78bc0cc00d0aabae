"""A real browser behind two pipes; without it nobody would know whether a page works by keyboard on a narrow screen.

Source: Chrome DevTools Protocol; with --remote-debugging-pipe the browser reads commands from file descriptor 3 and
writes answers and events to 4, each one JSON text that ends with NUL.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
APT = ("-qq", "-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1")
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "Escape": 27}
PATIENCE_S = 20.0
INSTALL_S = 600.0  # of each step; then it is left to itself
AS_3_AND_4 = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3])
os.dup2(commands, 3), os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def installed() -> str | None:
    """Return the path of a browser; where there is none and we may, install Debian's."""
    with (Path(tempfile.gettempdir()) / "carerelay-browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes would stand in each other's way
        if _found() is None and os.geteuid() == 0 and shutil.which("apt-get"):
            _install()
    return _found()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _install() -> None:
    let_finish("apt-get", *APT, "update")
    let_finish("apt-get", *APT, "install", "-y", "--no-install-recommends", "chromium")


def let_finish(*words: str) -> None:
    """Run a program to its end, or stop waiting for it; it is never killed, since dpkg may be in the midst of writing.

    A session of its own keeps it out of what ends this test run.
    """
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        words, env=env, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )  # no `with`, and no run(): both would wait for it or kill it
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(INSTALL_S)


class Browser:
    """One page of a headless browser. `dialogs` counts what opened one; whatever opens is closed."""

    def __init__(self, path: str, folder: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        words = [path, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", AS_3_AND_4, str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for theirs in (theirs_in, theirs_out):
            os.close(theirs)
        self._in, self._out, self._buffer = ours_in, ours_out, b""
        self._last_id, self._session, self._loads = 0, "", 0
        self.dialogs: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its answer; events that come before it are noted."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            told = self._read(until)
            if told.get("id") == self._last_id:
                assert "error" not in told, told
                answer: dict[str, Any] = told.get("result", {})
                return answer

    def _read(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"the browser said nothing for {PATIENCE_S} s"
            more = os.read(self._in, 1_000_000)
            assert more, "the browser has ended"
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        self._note(told.get("method", ""), told.get("params", {}))
        return told

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Page.javascriptDialogOpening":
            self.dialogs.append(params["type"])
            self._last_id += 1
            closing = {"id": self._last_id, "method": "Page.handleJavaScriptDialog", "sessionId": self._session}
            os.write(self._out, json.dumps({**closing, "params": {"accept": True}}).encode() + b"\0")
        elif event == "Page.loadEventFired":
            self._loads += 1
        elif event == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["text"])
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])

    def loaded(self, act: Any) -> None:
        """Do `act` and wait until the page it leads to is there."""
        before, until = self._loads, time.monotonic() + PATIENCE_S
        act()
        while self._loads == before:
            self._read(until)

    def open(self, url: str) -> None:
        self.loaded(lambda: self.send("Page.navigate", url=url))

    def size(self, width: int, height: int = 800, *, dark: bool = False) -> None:
        """Make the screen that wide, in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def cookie(self, name: str, value: str, url: str) -> None:
        self.send("Network.setCookie", name=name, value=value, url=url)

    def run(self, script: str) -> Any:
        """Return the value of a script's expression in the page."""
        told = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def press(self, key: str, *, times: int = 1) -> None:
        """Press a key that is no letter."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for _ in range(times):
            self.send(
                "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=KEYS[key], text=text, code=key
            )
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=KEYS[key], code=key)

    def type(self, text: str) -> None:
        """Write into what is in focus; a page puts its first field there with its first frame, not with its load."""
        self.run("new Promise(drawn => requestAnimationFrame(() => drawn(0)))")
        self.send("Input.insertText", text=text)

    def focus_by_tab(self, wanted: str, most: int = 60) -> None:
        """Press Tab until the element in focus fits the selector; fail when none does."""
        for _ in range(most):
            self.press("Tab")
            if self.run(f"document.activeElement.matches({json.dumps(wanted)})"):
                return
        raise AssertionError(f"no way by Tab to {wanted}")

    def picture(self, path: Path, *, whole: bool = True) -> None:
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, optimizeForSpeed=True)
        path.write_bytes(base64.b64decode(shot["data"]))


def too_wide(browser: Browser) -> Sequence[str]:
    """Return the elements that make the page scroll sideways."""
    found: list[str] = browser.run(
        """document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
           .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, pre, .tree, .skip'))
           .map(e => e.tagName + '.' + e.className).slice(0, 9)"""
    )
    return found


if __name__ == "__main__":
    print(installed() or "no browser")
