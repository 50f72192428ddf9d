# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""One connection to the API server, and the objects of one kind kept current by it.

`http.client` would cost 3 MiB of the 20 that the watcher may have, `typing` another.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

PAGE = 20
"""Objects of one page of a list: a whole list of pods would be held in memory at once."""
SLOWEST_RETRY = 10.0
ANSWERS = (401, 403, 404)
"""Refusals that say something new about the cluster, so the charm is to see them too."""


class Refused(Exception):
    """The API server answered with an error; `code` is its HTTP status."""

    def __init__(self, code: int, message: str = ""):
        super().__init__(f"{code} {message}".strip())
        self.code = code


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines out of pieces cut anywhere, one at a time; the last may lack its line end."""
    kept: list[bytes] = []
    for piece in pieces:
        head, *rest = piece.split(b"\n")
        kept.append(head)
        for part in rest:
            yield b"".join(kept)
            kept = [part]
    yield b"".join(kept)


class Connection:
    """One connection to the API server, kept over requests and made anew where it broke.

    Args:
        host: of the API server.
        port: of the API server.
        credentials: directory with `token` and `ca.crt` of the service account.
    """

    def __init__(self, host: str, port: int, credentials: str):
        self._host, self._port, self._credentials = host, port, credentials
        self._socket: ssl.SSLSocket | None = None
        self._file: Any = None

    def close(self) -> None:
        """Close it; the next request opens a new one."""
        if self._socket:
            self._file.close()
            self._socket.close()
        self._socket = None

    def get(self, path: str, timeout: float) -> Iterator[bytes]:
        """The body of an answer, in pieces; to be read to its end before the next request.

        Args:
            path: with its query.
            timeout: seconds of silence until the connection counts as broken.

        Raises:
            Refused: the answer is an error.
            OSError: the API server was not reached, or did not answer.
            ValueError: what answered does not speak HTTP.
        """
        # Read for each request: the kubelet writes a new token long before the old one ends.
        with open(f"{self._credentials}/token") as file:
            token = file.read().strip()
        peer = self._socket or self._connect()
        peer.settimeout(timeout)
        host = f"[{self._host}]" if ":" in self._host else self._host
        head = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{self._port}",
            f"Authorization: Bearer {token}",
            "Accept: application/json",
            "User-Agent: rbg-k8s-watcher",
        )
        peer.sendall("\r\n".join((*head, "", "")).encode())
        code, headers = self._head()
        body = self._body(headers)
        if code != 200:
            raise Refused(code, b"".join(body)[:200].decode(errors="replace"))
        return body

    def _connect(self) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(f"{self._credentials}/ca.crt")
        plain = socket.create_connection((self._host, self._port), 10)
        try:
            # A network that swallows packets is noticed in half a minute, and costs nothing idle.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (("IDLE", 15), ("INTVL", 5), ("CNT", 3)):
                plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"), value)
            self._socket = context.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise
        self._file = self._socket.makefile("rb")
        return self._socket

    def _head(self) -> tuple[int, dict[str, str]]:
        said = self._line().split(" ", 2)
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip().lower()
        return int(said[1] if len(said) > 1 else ""), headers

    def _body(self, headers: dict[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._line().partition(";")[0], 16):
                yield self._read(size)
                self._read(2)
            while self._line():
                pass  # trailers
        else:
            yield self._read(int(headers.get("content-length", "")))
        if headers.get("connection") == "close":
            self.close()

    def _line(self) -> str:
        line = self._file.readline(65536)
        if not line.endswith(b"\n"):
            raise ConnectionError("the connection was closed")
        return line.strip().decode("latin-1")

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise ConnectionError("the connection was closed")
        return data


class Kind:
    """The objects of one kind, by what they mean; kept current by one connection.

    Args:
        connection: to the API server.
        paths: of its lists; the next one is tried where the server does not have one.
        query: the selector.
        meaning: what is kept of an object; its first part is the digest.
        changed: called after each change of any meaning.
        seconds: after which the server ends a watch; then it is resumed.
    """

    def __init__(
        self,
        connection: Connection,
        paths: list[str],
        query: str,
        meaning: Callable[[dict[str, Any]], tuple[int, Any] | tuple[int, str, bool]],
        changed: Callable[[], object],
        seconds: int = 120,
    ):
        self.objects: dict[str, Any] = {}
        self._connection, self._paths, self._query = connection, paths, query
        self._meaning, self._changed, self._seconds = meaning, changed, seconds
        self._version = ""
        self._seen: int | str = ""  # what the last request came to: 200, a refusal, "lost"
        self._pause, self._asking = 0.2, True

    @property
    def known(self) -> bool:
        """Whether `objects` is what the API server says."""
        return self._seen == 200

    def run(self) -> None:
        """List and watch, for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """One list where it is due, one watch to its end; errors end in a pause."""
        began = time.monotonic()
        try:
            if not self._version:
                self._list()
            self._watch()
            # A server that ends every watch at once is not asked without pause.
            if time.monotonic() - began < 1:
                time.sleep(1)
        except Refused as error:
            self._refused(error)
        except (OSError, ValueError) as error:
            self._lost(error)

    def _list(self) -> None:
        found: dict[str, Any] = {}
        more = ""
        while True:
            body = self._ask(f"limit={PAGE}{more}", 30)
            page = json.loads(b"".join(body))
            for item in page["items"]:
                found[item["metadata"]["name"]] = self._meaning(item)
            meta = page["metadata"]
            if not meta.get("continue"):
                break
            more = f"&continue={meta['continue']}"
            del page, body
        self._version = meta["resourceVersion"]
        if found != self.objects:
            self.objects = found
            self._changed()

    def _watch(self) -> None:
        how = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={self._seconds}"
        body = self._ask(f"{how}&resourceVersion={self._version}", self._seconds + 15)
        self._answered()
        for line in lines(body):
            if line:
                self._event(json.loads(line))

    def _event(self, event: dict[str, Any]) -> None:
        what, thing = event["type"], event["object"]
        if what == "ERROR":  # most often 410: the version is too old to go on from
            raise Refused(thing.get("code") or 500, thing.get("message") or "")
        self._version = thing["metadata"]["resourceVersion"]
        if what == "BOOKMARK":
            return
        name = thing["metadata"]["name"]
        meaning = None if what == "DELETED" else self._meaning(thing)
        if meaning == self.objects.get(name):
            return
        if meaning:
            self.objects[name] = meaning
        else:
            del self.objects[name]
        self._changed()

    def _ask(self, how: str, timeout: float) -> Iterator[bytes]:
        self._asking = True
        body = self._connection.get(f"{self._paths[0]}?{self._query}&{how}", timeout)
        self._asking = False
        return body

    def _answered(self) -> None:
        """The watch is there: after a start or a loss the charm is to look again, too."""
        self._pause = 0.2
        if self._seen != 200:
            say(f"{self._paths[0]}: watching")
            self._seen = 200
            self._changed()

    def _refused(self, error: Refused) -> None:
        self._version = ""  # whatever it was, a new list mends it
        if error.code == 410:
            say(f"{self._paths[0]}: too late to go on, listing anew")
        elif error.code != self._seen:
            say(f"{self._paths[0]}: {error}")
            self._seen = error.code
            if error.code in ANSWERS:
                self._changed()
        if error.code == 404:
            self.objects = {}
            self._paths.append(self._paths.pop(0))
        self._rest()

    def _lost(self, error: Exception) -> None:
        """A watch that was cut is resumed where it was; only one that cannot be is a loss."""
        if self._asking and self._seen != "lost":
            say(f"{self._paths[0]}: {type(error).__name__}: {error}")
            self._seen = "lost"
        self._rest()

    def _rest(self) -> None:
        self._connection.close()
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, SLOWEST_RETRY)


def say(text: str) -> None:
    """A line for Pebble's log."""
    print(f"watcher: {text}", file=sys.stderr, flush=True)
