"""Real Pebbles for the units of a model, and what Juju's noticer makes of their notices.

Pebble is the genuine program (`python -m rig.controlplane pebble`), an ordinary process with a
directory of its own. A thread for each waits for its notices; `Pebbles.pump` turns what came into
hooks of the model, as Juju's worker `pebblenoticer` does.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import pebble

from rig.controlplane import until
from rig.controlplane.build import PEBBLE, ensure

if TYPE_CHECKING:
    from typing_extensions import Self

    from .model import Model

SHIM = Path(__file__).with_name("shim")
_POLL = 1.0


class Pebbles:
    """The Pebbles of a model; give `environment`, `pythonpath` and `there` to `Model`.

    Args:
        env: of every Pebble and so of its services, beside PATH and HOME.
        all_users: False plays a Juju before 3.6.25, which drops every notice of another user.
    """

    pythonpath = (SHIM,)

    def __init__(self, env: Mapping[str, str] | None = None, *, all_users: bool = True):
        self._binary = ensure(PEBBLE) / "pebble"
        # A socket's path has room for some hundred bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="pebbles-"))
        self._env, self.all_users = dict(env or {}), all_users
        self._running: dict[tuple[str, str], _Pebble] = {}
        self._news: queue.Queue[Callable[[Model], object]] = queue.Queue()
        self.notices: list[tuple[str, str, float]] = []
        """Unit, key and moment (monotonic) of each custom notice that reached the unit."""
        self.edges: list[tuple[str, str, bool]] = []
        """Unit, check, and whether it failed."""

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        for one in self._running.values():
            one.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """For the hooks."""
        return {"RIG_PEBBLES": str(self.directory)}

    def there(self, unit: str, container: str) -> bool:
        """Whether the container's Pebble runs."""
        return (unit, container) in self._running

    def start(self, unit: str, container: str) -> None:
        """Start a container's Pebble, as empty as in a new container."""
        home = self.directory / unit.replace("/", "-") / container
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)

        def heard(notice: dict[str, Any], ask: Callable[[str], Any]) -> None:
            self._heard(unit, container, notice, ask)

        one = _Pebble(self._binary, home, {**self._env, "WATCH_PEBBLE": str(self._binary)}, heard)
        self._running[unit, container] = one

    def restart(self, model: Model, unit: str, container: str) -> None:
        """The container dies and comes back empty; seen on a real Juju 4: only a pebble-ready."""
        self._running.pop((unit, container)).kill()
        self.start(unit, container)
        model.emit(unit, f"{container}-pebble-ready", JUJU_WORKLOAD_NAME=container)

    def client(self, unit: str, container: str) -> pebble.Client:
        """A client of a container's Pebble."""
        return pebble.Client(str(self._running[unit, container].socket))

    def log(self, unit: str, container: str) -> Path:
        """What a container's Pebble and its services print."""
        return self._running[unit, container].socket.with_name("pebble.log")

    def pids(self, unit: str, container: str) -> list[int]:
        """The processes of its services."""
        return _descendants(self._running[unit, container].pid)

    def deliver(self, model: Model, seconds: float) -> None:
        """Queue the hooks of the notices that came.

        Args:
            model: whose units these are.
            seconds: to wait for the first notice.
        """
        with contextlib.suppress(queue.Empty):
            self._news.get(timeout=seconds)(model)
            while True:
                self._news.get_nowait()(model)

    def pump(self, model: Model, seconds: float) -> int:
        """Deliver, and run all hooks that are due; returns how many ran."""
        self.deliver(model, seconds)
        return model.settle()

    def _heard(
        self, unit: str, container: str, notice: dict[str, Any], ask: Callable[[str], Any]
    ) -> None:
        key, foreign = notice["key"], notice["user-id"] is not None
        if notice["type"] == "custom" and (self.all_users or not foreign):
            self.notices.append((unit, key, time.monotonic()))
            # Seen on a real Juju 4: the same key keeps its id.
            self._news.put(lambda model: model.pebble_notice(unit, container, key, notice["id"]))
        kind = (notice.get("last-data") or {}).get("kind")
        if notice["type"] == "change-update" and kind in ("perform-check", "recover-check"):
            change = ask(f"/v1/changes/{key}")
            failed = kind == "perform-check"
            # Juju "pebblenoticer": the one ends in Error, the other in Done.
            if change["status"] == ("Error" if failed else "Done"):
                check = notice["last-data"]["check-name"]
                self.edges.append((unit, check, failed))
                self._news.put(
                    lambda model: model.pebble_check(unit, container, check, failed=failed)
                )


class _Pebble:
    """One running Pebble and the thread that waits for its notices."""

    def __init__(
        self,
        binary: Path,
        home: Path,
        env: Mapping[str, str],
        heard: Callable[[dict[str, Any], Callable[[str], Any]], None],
    ):
        self.socket = home / "pebble.socket"
        self._ended = threading.Event()
        self._heard = heard
        inherited = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
        environment = {**inherited, "PEBBLE": str(home), "PEBBLE_SOCKET": str(self.socket), **env}
        with (home / "pebble.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "run", "--create-dirs", "--verbose"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self._ask("/v1/system-info"), f"Pebble in {home}", tolerate=(OSError,))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL to it and its services, as when a container ends."""
        self._ended.set()
        for pid in (self._process.pid, *_descendants(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._thread.join()

    def _listen(self) -> None:
        after = ""
        while not self._ended.is_set():
            # Each user's notices are asked for; which of them Juju hears of is for `heard`.
            query = {"users": "all", "timeout": f"{_POLL}s", **({"after": after} if after else {})}
            try:
                found = self._ask(f"/v1/notices?{urllib.parse.urlencode(query)}") or []
                for notice in found:
                    after = notice["last-repeated"]
                    self._heard(notice, self._ask)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # it was killed, or is about to be

    def _ask(self, path: str) -> Any:
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())["result"]
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("pebble", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


def _descendants(pid: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold anything.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]
