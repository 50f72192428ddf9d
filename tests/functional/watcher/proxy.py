# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A TCP proxy before the API server, whose wires a test can cut and count."""

import contextlib
import socket
import threading
import urllib.parse


class Proxy:
    """Listens on a port of its own and passes everything on to the server of a URL."""

    def __init__(self, url: str):
        parts = urllib.parse.urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._wires: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._cut = False
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        with self._lock:
            return len(self._wires) // 2

    def cut(self) -> None:
        """Break every connection, and refuse new ones until `mend`."""
        self._cut = True
        self.drop()

    def mend(self) -> None:
        """Pass on again."""
        self._cut = False

    def drop(self) -> None:
        """Break every connection once."""
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._cut:
                near.close()
                continue
            self.accepted += 1
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._wires |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._wires.discard(one)
        one.close()
