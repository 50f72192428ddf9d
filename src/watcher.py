#!/usr/bin/env python3
# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Watch the group and its pods; wake the charm when what its health line depends on has changed.

Runs in the `watcher` container under Pebble, on any Python from 3.9 on, with the standard library
only; `sidecar.py` pushes it and says by the environment what to watch. It only reads, and the one
thing it ever does is `pebble notify`: alive without its charm it is harmless.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time

from watch_api import SLOWEST_RETRY, Connection, Kind, say
from watch_meaning import GROUP_LABEL, group_meaning, pod_meaning

TYPE_CHECKING = False  # `typing` would cost 1 MiB
if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "rbg-k8s.charm/changed"
"""Key of the notice."""
API = "workloads.x-k8s.io"
SPACING = 1.05
"""Seconds between the end of one wake-up and the next: never two within a second."""
REPEAT_AFTER = 0.5
"""Seconds within which Pebble swallows a repeated notice, of a watcher that starts over and over.

Must stay below SPACING and below the delay of a restart: what Pebble swallows nobody hears of.
"""
SETTLE, UNSETTLED = 1.0, 10.0
"""/ready keeps its answer until nothing changed for SETTLE seconds, at most UNSETTLED seconds."""
NOTIFY_TIMEOUT = 10.0


class Pace:
    """At most one wake-up a second: the first at once, and always one after the last change.

    Args:
        wake: wakes the charm; says whether it could.
        clock: seconds that never go back.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        wake: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ):
        self._wake, self._clock, self._sleep = wake, clock, sleep
        self._news = threading.Event()
        # A watcher before this one may have notified just now: Pebble would swallow ours.
        self._next = clock() + REPEAT_AFTER
        self._retry = SPACING
        self.last_change = clock()

    def changed(self) -> None:
        """Something changed."""
        self.last_change = self._clock()
        self._news.set()

    def step(self) -> None:
        """Wait for a change, and for its time; then wake the charm."""
        self._news.wait()
        early = self._next - self._clock()
        if early > 0:
            self._sleep(early)
        self._news.clear()  # before the wake-up: what changes during it makes another one
        if self._wake():
            self._retry = SPACING
        else:
            self._news.set()
            self._retry = min(2 * self._retry, SLOWEST_RETRY)
        self._next = self._clock() + self._retry


def notify(pebble: str) -> bool:
    """Add the notice; whether Pebble took it. A Pebble that does not answer is given up."""
    try:
        words = [pebble, "notify", KEY, f"--repeat-after={REPEAT_AFTER:g}s"]
        child = os.posix_spawn(pebble, words, os.environ)
        deadline = time.monotonic() + NOTIFY_TIMEOUT
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                say(f"no notice: {pebble} does not end")
                return False
            time.sleep(0.005)
    except OSError as error:
        say(f"no notice: {error}")
        return False
    return ended[1] == 0


class Readiness:
    """What `/ready` answers: whether every role has as many ready pods as it asks for.

    False as well while there is no group, and as long as the API server has not been reached. In
    a burst of changes the answer stays, so that Pebble's check does not add to the wake-ups.
    """

    def __init__(
        self, group: Kind, pods: Kind, pace: Pace, clock: Callable[[], float] = time.monotonic
    ):
        self._group, self._pods, self._pace, self._clock = group, pods, pace, clock
        self._shown, self._taken = False, clock() - UNSETTLED
        self._reached = False

    def __call__(self) -> bool:
        """Whether the group is ready."""
        now = self._clock()
        if now - self._pace.last_change >= SETTLE or now - self._taken >= UNSETTLED:
            self._shown, self._taken = self._now(), now
        return self._shown

    def _now(self) -> bool:
        self._reached = self._reached or (self._group.known and self._pods.known)
        groups, pods = list(self._group.objects.values()), list(self._pods.objects.values())
        have: dict[str, int] = {}
        for _, role, ready in pods:
            have[role] = have.get(role, 0) + ready
        enough = all(have.get(r, 0) >= n for _, needs in groups for r, n in needs.items())
        return self._reached and bool(groups) and enough


def serve(port: int, ready: Callable[[], bool]) -> None:
    """Answer `GET /ready` on the loopback with 200 or 503, for ever."""
    while True:
        try:
            listener = socket.create_server(("127.0.0.1", port))
            break
        except OSError as error:
            say(f"no /ready: {error}")
            time.sleep(SLOWEST_RETRY)
    while True:
        try:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(2)
                asked = peer.recv(4096).startswith(b"GET /ready ")
                said = ("200 OK" if ready() else "503 not ready") if asked else "404 unknown"
                head = f"HTTP/1.1 {said}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                peer.sendall(head.encode())
        except OSError:
            pass  # whoever asked is gone


def _die(problem: threading.ExceptHookArgs) -> None:
    """A thread that ended would leave a watcher that is blind: let Pebble start a new one."""
    sys.excepthook(problem.exc_type, problem.exc_value or SystemExit(), problem.exc_traceback)
    os._exit(1)


def main(env: dict[str, str]) -> None:
    """Watch until killed."""
    application, namespace = env["WATCH_APPLICATION"], env["WATCH_NAMESPACE"]
    plural = env.get("WATCH_PLURAL", "rolebasedgroups")
    seconds = int(env.get("WATCH_SECONDS", "120"))
    credentials = "/var/run/secrets/kubernetes.io/serviceaccount"
    server = (
        env["KUBERNETES_SERVICE_HOST"],
        int(env.get("KUBERNETES_SERVICE_PORT", "443")),
        env.get("WATCH_CREDENTIALS", credentials),
    )
    pebble = env.get("WATCH_PEBBLE", "/charm/bin/pebble")
    pace = Pace(lambda: notify(pebble))
    group_paths = [
        f"/apis/{API}/{version}/namespaces/{namespace}/{plural}"
        for version in ("v1alpha2", "v1alpha1")
    ]
    by_name, by_label = f"metadata.name%3D{application}", f"{GROUP_LABEL}%3D{application}"
    group = Kind(
        Connection(*server),
        group_paths,
        f"fieldSelector={by_name}",
        group_meaning,
        pace.changed,
        seconds,
    )
    pods = Kind(
        Connection(*server),
        [f"/api/v1/namespaces/{namespace}/pods"],
        f"labelSelector={by_label}",
        pod_meaning,
        pace.changed,
        seconds,
    )
    threading.excepthook = _die
    port = int(env.get("WATCH_PORT", "0"))
    ready = Readiness(group, pods, pace)
    for target in (group.run, pods.run, lambda: serve(port, ready)):
        threading.Thread(target=target, daemon=True).start()
    while True:
        pace.step()


if __name__ == "__main__":
    main(dict(os.environ))
