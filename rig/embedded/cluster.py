"""The embedded cluster: the emulated API and its helpers in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kmock
import yaml

from rig import crds
from rig.embedded import reviews
from rig.embedded.admission import Admission
from rig.embedded.autoscaler import Autoscaler
from rig.embedded.nodes import Nodes
from rig.embedded.objects import Obj
from rig.embedded.server import Api
from rig.embedded.workloads import Workloads

if TYPE_CHECKING:
    import lightkube

EMULATED = [
    "objects over HTTP: get, list, watch, create, update, patch (apply, merge, strategic, JSON)",
    "server-side apply per manager: omitted fields and list entries go, conflicts, force",
    "a field that an Update or a patch changes belongs to its manager from then on",
    "uid, generation (spec only), resourceVersion (unchanged by a write without effect), 409s",
    "label and field selectors, dryRun=All, status and scale, finalizers, deletecollection",
    "CRD schemas: defaults, pruning, unknown fields refused with fieldValidation=Strict",
    "garbage collection by ownerReferences, in the background, also of a dead owner's children",
    "SelfSubjectAccessReview, TokenRequest and 403s by a function (default: all allowed)",
    "4 nodes of 8 GPUs; pods scheduled, running, ImagePullBackOff, CrashLoopBackOff, held",
    "StatefulSets and Deployments in their plainest form",
    "HorizontalPodAutoscalers as without metrics: the bounds are kept, conditions and events",
]
NOT_EMULATED = [
    "containers, networks, volumes, endpoints, DNS: no program runs",
    "validation (CEL, enums, minimums), conversion between CRD versions",
    "admission webhooks, but for what RBG's own refuses since 0.8, where that is asked for",
    "RBAC evaluation of Roles and RoleBindings, authentication, quotas",
    "LeaderWorkerSet, ReplicaSet, PodDisruptionBudget controllers, KEDA, any metric",
    "ownership of what a POST creates, foreground deletion (played as background)",
]


class EmbeddedCluster:
    """A Kubernetes API on 127.0.0.1, in this process; use as a context manager.

    Args:
        delay: seconds from a pod's creation (or image change) until it runs.
    """

    def __init__(self, *, delay: float = 0.3) -> None:
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._halt: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self.run_dir = Path(tempfile.mkdtemp(prefix="rbg-k8s-embedded-"))
        self._clients: list[lightkube.Client] = []
        self._crds: list[str] = []
        self._thread = threading.Thread(target=self._serve, name="embedded-api", daemon=True)
        self.url = ""
        # kmock's handler: its DSL injects faults, `api.requests` lists what was asked.
        self.api = Api()

    @classmethod
    def start(cls, *, delay: float = 0.3) -> EmbeddedCluster:
        """A started cluster."""
        cluster = cls(delay=delay)
        cluster._thread.start()
        cluster._up.wait()
        if cluster._failure is not None:
            raise RuntimeError("the embedded cluster did not start") from cluster._failure
        return cluster

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as exc:
            self._failure = exc
        finally:
            self._up.set()
            with contextlib.suppress(Exception):
                self._loop.close()

    async def _main(self) -> None:
        self._halt = asyncio.Event()
        store = self.api.store
        for kind in list(store.kinds.values()):
            self.api.advertise(kind)
        for name in ("default", "kube-system"):
            store.create(store.kinds["", "namespaces"], "", {"metadata": {"name": name}})
        Nodes(store, delay=self._delay)
        Workloads(store)
        Autoscaler(store)
        async with self.api, kmock.Server(self.api) as server:
            self.url = str(server.url).rstrip("/")
            self._up.set()
            await self._halt.wait()
            # Open watches would hold the server's shutdown back.
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

    def stop(self) -> None:
        """Stops the API; everything in it is gone. Safe to call twice."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        halt = self._halt
        if self._thread.is_alive() and halt is not None:
            self._loop.call_soon_threadsafe(halt.set)
            self._thread.join(timeout=10)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def __enter__(self) -> EmbeddedCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, function: Callable[[], Any]) -> Any:
        """Runs a function in the server's loop, where the store may be touched."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=30)

    # --- the surface that the real rig has too -------------------------------------------

    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator."""
        return self._write("admin", "default", reviews.ADMIN)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig that acts as a service account, which is made when absent."""
        store = self.api.store
        kind = store.kinds["", "serviceaccounts"]
        self.call(
            lambda: (
                (("", "serviceaccounts"), namespace, name) in store.objects
                or store.create(kind, namespace, {"metadata": {"name": name}})
            )
        )
        token = reviews.token_for(namespace, name)
        return self._write(f"{namespace}-{name}", namespace, token)

    def _write(self, stem: str, namespace: str, token: str) -> Path:
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "embedded",
            "clusters": [{"name": "embedded", "cluster": {"server": self.url}}],
            "users": [{"name": "embedded", "user": {"token": token}}],
            "contexts": [{"name": "embedded", "context": {
                "cluster": "embedded", "user": "embedded", "namespace": namespace}}],
        }  # fmt: skip
        path = self.run_dir / f"{stem}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def client(self, namespace: str = "default") -> lightkube.Client:
        """A lightkube client of an administrator; `stop` closes it."""
        return self.client_for(self.kubeconfig(), namespace)

    def client_for(self, kubeconfig: Path, namespace: str | None = None) -> lightkube.Client:
        """A lightkube client for any kubeconfig; `stop` closes it."""
        import lightkube

        config = lightkube.KubeConfig.from_file(kubeconfig)
        client = lightkube.Client(
            config=config, namespace=namespace, field_manager="test", trust_env=False
        )
        self._clients.append(client)
        return client

    def install_crds(self, source: Iterable[str | Path | Obj] | str | Path) -> list[str]:
        """Stores CustomResourceDefinitions and serves their types.

        Args:
            source: YAML or JSON files, folders of them, or objects.

        Returns:
            The names of the definitions.
        """
        chosen = [source] if isinstance(source, (str, Path)) else list(source)
        definitions = [crd for entry in chosen for crd in _definitions(entry)]
        for crd in definitions:
            self.call(lambda crd=crd: self._define(crd))
        found = [crd["metadata"]["name"] for crd in definitions]
        self._crds += found
        return found

    def remove_crds(self) -> None:
        """Removes every definition that `install_crds` put there, with all its objects."""
        store = self.api.store
        kind = store.kinds["apiextensions.k8s.io", "customresourcedefinitions"]
        for name in set(self._crds):
            if ((kind.group, kind.plural), "", name) in store.objects:
                self.call(lambda name=name: store.delete(kind, "", name))
        self._crds.clear()

    def _define(self, crd: Obj) -> None:
        store = self.api.store
        kind = store.kinds["apiextensions.k8s.io", "customresourcedefinitions"]
        name = crd["metadata"]["name"]
        crd["status"] = {
            "conditions": [
                {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts"},
                {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"},
            ],
            "acceptedNames": crd["spec"]["names"],
            "storedVersions": [v["name"] for v in crd["spec"]["versions"] if v.get("storage")],
        }  # fmt: skip
        old = store.objects.get((("apiextensions.k8s.io", kind.plural), "", name))
        crd = store.create(kind, "", crd) if old is None else store.update(kind, old, crd)
        self.api.serve(store.kinds[crd["spec"]["group"], crd["spec"]["names"]["plural"]])

    @contextlib.contextmanager
    def namespace(self, prefix: str = "test") -> Iterator[str]:
        """A fresh namespace, removed with all in it at the end."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        store = self.api.store
        kind = store.kinds["", "namespaces"]
        self.call(lambda: store.create(kind, "", {"metadata": {"name": name}}))
        try:
            yield name
        finally:
            if self._thread.is_alive():
                self.call(
                    lambda: (
                        (("", "namespaces"), "", name) in store.objects
                        and store.delete(kind, "", name)
                    )
                )

    def admit(self, admission: Admission | None) -> None:
        """Has a function refuse what is to be stored (`rig.embedded.admission`)."""
        self.call(lambda: setattr(self.api.store, "admission", admission))

    def allow(self, access: Callable[[str, Obj], bool] | None) -> None:
        """Decides who may do what: ``access(user, {verb, group, resource, namespace, …})``."""
        self.call(lambda: setattr(self.api, "access", access))


def _definitions(entry: str | Path | Obj) -> list[Obj]:
    if isinstance(entry, dict):
        found = [entry]
    else:
        path = Path(entry)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        suffixes = (".yaml", ".yml", ".json")
        found = [doc for file in files if file.suffix in suffixes for doc in _documents(file)]
    return [doc for doc in found if doc.get("kind") == "CustomResourceDefinition"]


def _documents(path: Path) -> list[Obj]:
    parsed = json.loads(path.read_text()) if path.suffix == ".json" else crds.documents(path)
    docs: list[Any] = parsed if isinstance(parsed, list) else [parsed]
    return [item for doc in docs if doc for item in (doc.get("items") or [doc])]
