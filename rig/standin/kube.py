"""The stand-in's view of the API: plain JSON over httpx, a cache fed by list and watch."""

from __future__ import annotations

import asyncio
import collections
import copy
import dataclasses
import datetime
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightkube
from lightkube.config import client_adapter

from rig.standin.names import GROUP, Obj

log = logging.getLogger("rig.standin")
MANAGER = "rbg"


@dataclasses.dataclass(frozen=True)
class Res:
    """A resource as its URL and its objects name it."""

    short: str
    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """The URL path."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        parts += ["namespaces", namespace] if namespace else []
        return "/" + "/".join([*parts, self.plural, *filter(None, (name, sub))])


def resources(rbg_version: str) -> dict[str, Res]:
    """Everything the stand-in touches, by a short name."""
    all_of = [
        Res("rbg", GROUP, rbg_version, "rolebasedgroups", "RoleBasedGroup"),
        Res("rbgset", GROUP, rbg_version, "rolebasedgroupsets", "RoleBasedGroupSet"),
        Res("rbgsa", GROUP, rbg_version, "rolebasedgroupscalingadapters",
            "RoleBasedGroupScalingAdapter"),
        Res("ris", GROUP, "v1alpha2", "roleinstancesets", "RoleInstanceSet"),
        Res("ri", GROUP, "v1alpha2", "roleinstances", "RoleInstance"),
        Res("sts", "apps", "v1", "statefulsets", "StatefulSet"),
        Res("deploy", "apps", "v1", "deployments", "Deployment"),
        Res("lws", "leaderworkerset.x-k8s.io", "v1", "leaderworkersets", "LeaderWorkerSet"),
        Res("pod", "", "v1", "pods", "Pod"),
        Res("svc", "", "v1", "services", "Service"),
        Res("cm", "", "v1", "configmaps", "ConfigMap"),
        Res("event", "", "v1", "events", "Event"),
        Res("rev", "apps", "v1", "controllerrevisions", "ControllerRevision"),
    ]  # fmt: skip
    return {res.short: res for res in all_of}


class ApiError(Exception):
    """An answer of 400 or more."""

    def __init__(self, code: int, status: Obj) -> None:
        super().__init__(f"{code} {status.get('message', '')}")
        self.code = code


def now() -> str:
    """The time as the API writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def http_client(kubeconfig: str | Path) -> Any:
    """An asynchronous HTTP client for a kubeconfig's current context."""
    config = lightkube.KubeConfig.from_file(kubeconfig).get()
    assert config is not None
    params = client_adapter.ConnectionParams(trust_env=False)
    client = client_adapter.AsyncClient(config, params)
    # The watches hold a connection each for as long as they like.
    client.timeout = 30
    return client


class Kube:
    """Requests and the cache; lives in one event loop."""

    def __init__(self, http: Any, rbg_version: str, namespace: str | None) -> None:
        self._http = http
        self.namespace = namespace
        self.res = resources(rbg_version)
        self._cache: dict[str, dict[tuple[str, str], Obj]] = {short: {} for short in self.res}
        # An answer to a write may come after the news that its object is gone.
        self._gone: collections.deque[str] = collections.deque(maxlen=500)
        self.on_change: Callable[[str, Obj, Obj | None], None] = lambda *_: None
        self.on_gone: Callable[[str, Obj], None] = lambda *_: None

    # --- reading the cache ---------------------------------------------------------------

    def get(self, short: str, namespace: str, name: str) -> Obj | None:
        """An object from the cache; not to be changed."""
        return self._cache[short].get((namespace, name))

    def all(self, short: str, namespace: str) -> Iterator[Obj]:
        """The cached objects of a namespace, by name."""
        for (where, _), obj in sorted(self._cache[short].items()):
            if where == namespace:
                yield obj

    def _store(self, short: str, obj: Obj, *, tell: bool) -> None:
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        old = self._cache[short].get(key)
        if old and int(old["metadata"]["resourceVersion"]) >= int(meta["resourceVersion"]):
            return
        if old is None and meta["uid"] in self._gone:
            return
        res = self.res[short]
        self._cache[short][key] = {**obj, "apiVersion": res.api_version, "kind": res.kind}
        if tell:
            self.on_change(short, obj, old)

    def _forget(self, short: str, obj: Obj) -> None:
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        old = self._cache[short].get(key)
        if old and old["metadata"]["uid"] == meta["uid"]:
            del self._cache[short][key]
        self._gone.append(meta["uid"])
        self.on_gone(short, obj)
        self.on_change(short, obj, old)

    # --- writing -------------------------------------------------------------------------

    async def request(self, method: str, path: str, body: Any = None, **options: Any) -> Obj:
        """One request.

        Raises:
            ApiError: an answer of 400 or more.
        """
        headers = {"Content-Type": options.pop("content_type", "application/json")}
        content = None if body is None else json.dumps(body).encode()
        answer = await self._http.request(
            method, path, content=content, headers=headers, params=options
        )
        try:
            parsed: Obj = answer.json()
        except ValueError:
            parsed = {"message": answer.text[:200]}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, parsed)
        return parsed

    async def apply(self, short: str, body: Obj, sub: str = "") -> Obj:
        """Server-side apply, forced, as the genuine controller's manager does."""
        res, meta = self.res[short], body["metadata"]
        whole = {"apiVersion": res.api_version, "kind": res.kind, **body}
        obj = await self.request(
            "PATCH", res.path(meta["namespace"], meta["name"], sub), whole,
            content_type="application/apply-patch+yaml", fieldManager=MANAGER, force="true",
        )  # fmt: skip
        # Told to the queue as well: the watch brings it again and finds it known.
        self._store(short, obj, tell=True)
        return obj

    async def create(self, short: str, body: Obj, *, manager: str = MANAGER) -> Obj:
        """POST."""
        res = self.res[short]
        whole = {"apiVersion": res.api_version, "kind": res.kind, **body}
        path = res.path(body["metadata"]["namespace"])
        obj = await self.request("POST", path, whole, fieldManager=manager)
        self._store(short, obj, tell=True)
        return obj

    async def put(self, short: str, body: Obj, *, manager: str) -> Obj:
        """PUT of a whole object as it was read; a conflict when it has changed since."""
        meta = body["metadata"]
        path = self.res[short].path(meta["namespace"], meta["name"])
        obj = await self.request("PUT", path, body, fieldManager=manager)
        self._store(short, obj, tell=True)
        return obj

    async def merge(self, short: str, obj: Obj, patch: Obj, *, strategic: bool = False) -> Obj:
        """A merge patch."""
        meta = obj["metadata"]
        kind = "strategic-merge-patch" if strategic else "merge-patch"
        new = await self.request(
            "PATCH", self.res[short].path(meta["namespace"], meta["name"]), patch,
            content_type=f"application/{kind}+json", fieldManager="rolebasedgroup",
        )  # fmt: skip
        self._store(short, new, tell=True)
        return new

    async def delete(self, short: str, obj: Obj) -> None:
        """DELETE of exactly this object; gone already is fine."""
        meta = obj["metadata"]
        options = {"propagationPolicy": "Background", "preconditions": {"uid": meta["uid"]}}
        path = self.res[short].path(meta["namespace"], meta["name"])
        try:
            await self.request("DELETE", path, options)
        except ApiError as exc:
            if exc.code not in (404, 409):
                raise

    async def status(self, short: str, obj: Obj, status: Obj) -> bool:
        """Applies a status if it says anything new, and tells whether it did.

        The transition time of a condition moves with its status only.
        """
        before: Obj = obj.get("status") or {}
        status = copy.deepcopy(status)
        for condition in status.get("conditions") or []:
            old = next(
                (c for c in before.get("conditions") or [] if c["type"] == condition["type"]), {}
            )
            same = old.get("status") == condition["status"]
            condition["lastTransitionTime"] = old["lastTransitionTime"] if same else now()
        if status == {key: before[key] for key in status if key in before}:
            return False
        meta = obj["metadata"]
        body = {"metadata": {"name": meta["name"], "namespace": meta["namespace"]}}
        await self.apply(short, {**body, "status": status}, "status")
        return True

    # --- watching ------------------------------------------------------------------------

    async def watch(self, short: str, synced: asyncio.Event) -> None:
        """Lists, then watches, for ever; ``synced`` is set after the first list."""
        path = self.res[short].path(self.namespace or "")
        while True:
            try:
                version = await self._list(short, path)
                synced.set()
                await self._follow(short, path, version)
            except asyncio.CancelledError:
                raise
            except ApiError as exc:
                # A type that is not installed (yet): nothing to wait for at the start.
                synced.set()
                await asyncio.sleep(2 if exc.code == 404 else 0.2)
            except Exception as exc:
                log.debug("watch of %s: %r", short, exc)
                await asyncio.sleep(0.5)

    async def _list(self, short: str, path: str) -> str:
        answer = await self.request("GET", path)
        seen = set()
        for obj in answer["items"]:
            seen.add((obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
            self._store(short, obj, tell=True)
        for key, obj in list(self._cache[short].items()):
            if key not in seen:
                self._forget(short, obj)
        return answer["metadata"]["resourceVersion"]

    async def _follow(self, short: str, path: str, version: str) -> None:
        while True:
            params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
            stream = self._http.stream("GET", path, params=params, timeout=None)
            async with stream as answer:
                if answer.status_code >= 400:
                    raise ApiError(answer.status_code, {})
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    obj = event["object"]
                    if event["type"] == "ERROR":
                        raise ApiError(int(obj.get("code", 500)), obj)
                    version = obj["metadata"]["resourceVersion"]
                    if event["type"] == "DELETED":
                        self._forget(short, obj)
                    elif event["type"] != "BOOKMARK":
                        self._store(short, obj, tell=True)
