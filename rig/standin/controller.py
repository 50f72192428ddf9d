"""The loop: watches fill the cache, changes wake keys, one worker reconciles them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rig.standin import names
from rig.standin.adapters import Adapters
from rig.standin.events import Events
from rig.standin.group import Group
from rig.standin.groupsets import GroupSets
from rig.standin.instances import Instances
from rig.standin.kube import ApiError, Kube, http_client
from rig.standin.names import INSTANCE_NAME, Obj
from rig.standin.sets import Sets

log = logging.getLogger("rig.standin")
ALL_TRAPS = frozenset({"A1", "A2", "A4", "4", "7", "8", "recreate", "set-discovery"})
# Mended since 0.7.
_OF_0_7 = frozenset({"recreate"})
Key = tuple[str, str, str]
_WATCHED = ("rbg", "rbgset", "rbgsa", "ris", "ri", "sts", "deploy", "lws", "pod", "rev")
_ORDER = ("rbg", "rbgset", "rbgsa", "ris", "ri")


class Queue:
    """Keys to reconcile, each once; a key may be due later.

    Groups go before sets, and sets before instances: so every status of a child is seen in the
    group's status, however slow the machine is, and a test can count on the order.
    """

    def __init__(self) -> None:
        self._ready: asyncio.PriorityQueue[tuple[int, int, Key]] = asyncio.PriorityQueue()
        self._count = itertools.count()
        self._listed: set[Key] = set()

    def add(self, key: Key, *, after: float = 0) -> None:
        """Asks for a reconcile of ``key``."""
        if after:
            asyncio.get_running_loop().call_later(after, self.add, key)
        elif key not in self._listed:
            self._listed.add(key)
            self._ready.put_nowait((_ORDER.index(key[0]), next(self._count), key))

    async def take(self) -> Key:
        """The next key."""
        _, _, key = await self._ready.get()
        self._listed.discard(key)
        return key


class Controller:
    """One running controller, in one event loop."""

    def __init__(
        self, http: Any, release: names.Release, traps: frozenset[str], namespace: str | None
    ) -> None:
        self.kube = Kube(http, release.version, namespace)
        self.release = release
        self.traps = traps
        self.queue = Queue()
        self.instances = Instances(self)
        self.adapters = Adapters(self)
        self.event = Events(self.kube).event
        self._parts = {
            "rbg": Group(self), "rbgset": GroupSets(self), "rbgsa": self.adapters,
            "ris": Sets(self), "ri": self.instances,
        }  # fmt: skip
        self._failures: dict[Key, int] = {}
        self.kube.on_change = self._changed
        self.kube.on_gone = self._gone

    def trap(self, name: str) -> bool:
        """Whether a trap of the genuine controller is to be played."""
        return name in self.traps

    async def run(self, started: Callable[[], None]) -> None:
        """Runs until cancelled; ``started`` is called when the cache is filled."""
        watched = [s for s in _WATCHED if self.release.modern or s not in ("ris", "ri")]
        synced = {short: asyncio.Event() for short in watched}
        async with contextlib.AsyncExitStack() as stack:
            tasks = [asyncio.create_task(self.kube.watch(s, synced[s])) for s in watched]
            stack.callback(lambda: [task.cancel() for task in tasks])
            for event in synced.values():
                await event.wait()
            started()
            while True:
                await self._one(await self.queue.take())

    async def _one(self, key: Key) -> None:
        kind, namespace, name = key
        try:
            await self._parts[kind].reconcile(namespace, name)
            self._failures.pop(key, None)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            # A namespace that is going refuses new objects: nothing to report.
            gone = isinstance(exc, ApiError) and exc.code in (403, 404, 409)
            log.log(logging.DEBUG if gone else logging.WARNING, "%s: %r", key, exc)
            self.queue.add(key, after=min(0.05 * 2**failures, 10))

    # --- what wakes what -----------------------------------------------------------------

    def _changed(self, short: str, obj: Obj, old: Obj | None) -> None:
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        if short == "rev":
            return
        if short in ("rbg", "rbgset", "rbgsa"):
            self._api_changed(short, obj, old)
            return
        owner = names.controller_of(obj)
        if short == "pod" and not self._pod_changed(obj, owner):
            return
        if short in ("ris", "ri"):
            self.queue.add((short, namespace, name))
        if short == "ri":
            if owner:
                self.queue.add(("ris", namespace, owner["name"]))
            return
        group = (meta.get("labels") or {}).get(self.release.prefix + self.release.group_label)
        if group:
            self.queue.add(("rbg", namespace, group))

    def _api_changed(self, short: str, obj: Obj, old: Obj | None) -> None:
        """What a client writes, or the status of such an object.

        Like with the genuine one, a change of metadata alone wakes no group (trap 3), but it
        wakes the set of the group.
        """
        meta = obj["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        new_spec = old is None or old["metadata"].get("generation") != meta.get("generation")
        gone = self.kube.get(short, namespace, name) is None
        if new_spec or gone:
            self.queue.add((short, namespace, name))
        if short == "rbgsa" and (new_spec or gone):
            for owner in meta.get("ownerReferences") or []:
                self.queue.add(("rbg", namespace, owner["name"]))
        if short == "rbg":
            owner = names.controller_of(obj)
            if owner.get("kind") == "RoleBasedGroupSet":
                self.queue.add(("rbgset", namespace, owner["name"]))
            counts = [(one or {}).get("status", {}).get("roleStatuses") for one in (obj, old)]
            if self.release.modern and counts[0] != counts[1]:
                for adapter in self.adapters.of_group(namespace, name):
                    self.queue.add(("rbgsa", namespace, adapter))

    def _pod_changed(self, pod: Obj, owner: Obj) -> bool:
        """Wakes the instances that a pod concerns; tells whether it concerns the group."""
        meta = pod["metadata"]
        if owner.get("kind") == "RoleInstance":
            self.queue.add(("ri", meta["namespace"], owner["name"]))
        # It may be in the way of an instance's own pod of the same name.
        for waiting in (meta["name"], (meta.get("labels") or {}).get(INSTANCE_NAME)):
            if waiting and self.kube.get("ri", meta["namespace"], waiting):
                self.queue.add(("ri", meta["namespace"], waiting))
        return owner.get("kind") == "StatefulSet" and self.trap("A2")

    def _gone(self, short: str, obj: Obj) -> None:
        if short == "pod":
            self.instances.forget(obj)


class StandIn:
    """The stand-in controller; see the package for what it imitates.

    Args:
        source: a kubeconfig, or a function giving a fresh ``httpx2.AsyncClient`` whose base
            URL and authentication reach the API.
        traps: which traps to play, of ``ALL_TRAPS`` (default: those of the release).
        release: the RBG release to play: ``v0.8``, ``v0.7``, ``v0.6`` or ``v0.3``.
        namespace: only this namespace.

    Raises:
        ValueError: an unknown trap or release.
    """

    def __init__(
        self,
        source: str | Path | Callable[[], Any],
        *,
        traps: Iterable[str] | None = None,
        release: str = "v0.8",
        namespace: str | None = None,
    ) -> None:
        self._source = source
        self.release = names.release(release)
        if traps is None:
            traps = ALL_TRAPS if self.release.name == "v0.7" else ALL_TRAPS - _OF_0_7
        self.traps = frozenset(traps)
        if unknown := self.traps - ALL_TRAPS:
            raise ValueError(f"unknown traps: {', '.join(sorted(unknown))}")
        self._namespace = namespace

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Runs until cancelled."""
        source = self._source
        http = source() if callable(source) else http_client(source)
        async with http:
            controller = Controller(http, self.release, self.traps, self._namespace)
            await controller.run(started)

    @contextlib.contextmanager
    def running(self, *, timeout: float = 30) -> Iterator[StandIn]:
        """Runs in a thread; entered when the cache is filled.

        Raises:
            RuntimeError: the API could not be listed in ``timeout`` seconds.
        """
        loop = asyncio.new_event_loop()
        started = threading.Event()
        task: list[asyncio.Task[None]] = []

        def serve() -> None:
            asyncio.set_event_loop(loop)
            task.append(loop.create_task(self.run(started.set)))
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task[0])
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

        thread = threading.Thread(target=serve, name="rbg-standin", daemon=True)
        thread.start()
        try:
            if not started.wait(timeout):
                raise RuntimeError("the stand-in RBG controller did not start")
            yield self
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: [one.cancel() for one in task])
            thread.join(timeout=10)
