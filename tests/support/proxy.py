"""A wire that can be cut; without it no test could take a server away that it must not stop."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class Proxy:
    """Passes TCP connections on to `target` for the length of a `with`.

    `cut` closes every connection and refuses new ones, `hole` keeps them open and passes nothing on, `ok` heals both.
    `held` is what came since there was a hole.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.held: list[bytes] = []
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_cut = self._closing = False
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        return int(self._door.getsockname()[1])

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            self._close_all()
        self._flowing.set()

    def hole(self) -> None:
        self.held.clear()
        self._flowing.clear()

    def ok(self) -> None:
        with self._lock:
            self._is_cut = False
        self._flowing.set()

    def _accept(self) -> None:
        while not self._closing:
            with contextlib.suppress(OSError):
                client, _ = self._door.accept()
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                client.close()
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self._flowing.is_set():
                    self.held.append(data)
                    self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            _hang_up(end)

    def _close_all(self) -> None:
        for end in self._open:
            _hang_up(end)
        self._open.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        _hang_up(self._door)
        self.cut()
        self._thread.join(5)


def _hang_up(end: socket.socket) -> None:
    """Wake whoever waits on this socket and close it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
