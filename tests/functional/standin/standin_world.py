"""Groups to apply, and ways to look at what became of them."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightkube
import yaml
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import ConfigMap, Event, Pod
from lightkube.types import PatchType

from rig.standin.names import digest

ROOT = Path(__file__).parents[3]
CRDS = ROOT / "rig" / "crds"
OBSERVED = ROOT.parent / "shared" / "observed"
NEW = "rbg.workloads.x-k8s.io/"
_GROUP = "workloads.x-k8s.io"


def _kind(version: str, kind: str) -> Any:
    return create_namespaced_resource(_GROUP, version, kind, f"{kind.lower()}s")


RBG, RBG_OLD = (_kind(v, "RoleBasedGroup") for v in ("v1alpha2", "v1alpha1"))
SET, SET_OLD = (_kind(v, "RoleBasedGroupSet") for v in ("v1alpha2", "v1alpha1"))
ADAPTER, ADAPTER_OLD = (_kind(v, "RoleBasedGroupScalingAdapter") for v in ("v1alpha2", "v1alpha1"))
RIS, RI = (_kind("v1alpha2", kind) for kind in ("RoleInstanceSet", "RoleInstance"))

Obj = dict[str, Any]


def template(app: str, image: str = "example.test/engine:1", *, hold: bool = False) -> Obj:
    """The pod template of the recordings; ``hold`` keeps its pods Pending."""
    metadata: Obj = {"labels": {"app": app}}
    if hold:
        metadata["annotations"] = {"hold": "true"}
    port = {"containerPort": 8000, "name": "http", "protocol": "TCP"}
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": app, "image": image, "ports": [port]}]},
    }


def role(
    name: str,
    replicas: int = 2,
    *,
    image: str = "example.test/engine:1",
    hold: bool = False,
    after: tuple[str, ...] = (),
    rolling: Obj | None = None,
    kind: str = "",
    size: int = 0,
) -> Obj:
    """A role of v1alpha2; ``size`` makes it leader and workers, ``kind`` sets the workload."""
    pod = template(name, image, hold=hold)
    spec: Obj = {"name": name, "replicas": replicas}
    if size:
        spec["leaderWorkerPattern"] = {"size": size, "template": pod}
    else:
        spec["standalonePattern"] = {"template": pod}
    if after:
        spec["dependencies"] = list(after)
    if rolling:
        spec["rolloutStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    if kind:
        spec["annotations"] = {NEW + "role-workload-type": kind}
    return spec


STS = "apps/v1/StatefulSet"
DEPLOYMENT = "apps/v1/Deployment"
LWS = "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet"


@dataclasses.dataclass
class State:
    """One status of a group, short enough to compare."""

    generation: int
    observed: int | None
    ready: str
    roles: dict[str, tuple[int, int, int]]

    @classmethod
    def of(cls, obj: Obj) -> State:
        """The state of a raw RoleBasedGroup."""
        status = obj.get("status") or {}
        ready = next((c["status"] for c in status.get("conditions") or []), "")
        entries = status.get("roleStatuses") or []
        roles = {
            e["name"]: (e["replicas"], e["readyReplicas"], e.get("updatedReplicas", -1))
            for e in entries
        }
        return cls(obj["metadata"]["generation"], status.get("observedGeneration"), ready, roles)


class World:
    """A namespace with a stand-in running in it, or the genuine controller."""

    def __init__(
        self, client: lightkube.Client, namespace: str, *, rbg: Any = RBG, genuine: bool = False
    ) -> None:
        self.client = client
        self.namespace = namespace
        self.genuine = genuine
        self._rbg = rbg

    def apply(self, name: str, *roles: Obj) -> Obj:
        """Applies a group of these roles and returns it."""
        version = self._rbg._api_info.resource.version
        return raw(self.client.apply(self._rbg.from_dict({
            "apiVersion": f"{_GROUP}/{version}", "kind": "RoleBasedGroup",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"roles": list(roles)},
        }), field_manager="test", force=True))  # fmt: skip

    def group(self, name: str) -> Obj:
        """The group."""
        return raw(self.client.get(self._rbg, name, namespace=self.namespace))

    def state(self, name: str) -> State:
        """Its state."""
        return State.of(self.group(name))

    def get(self, kind: Any, name: str) -> Obj:
        """Any object of the namespace."""
        return raw(self.client.get(kind, name, namespace=self.namespace))

    def status(self, kind: Any, name: str) -> Obj:
        """The status of any object; what it does not say (yet) is None."""
        found: Obj = collections.defaultdict(lambda: None)
        found.update((self.find(kind, name) or {}).get("status") or {})
        return found

    def find(self, kind: Any, name: str) -> Obj | None:
        """Any object of the namespace, None when it is not there."""
        try:
            return self.get(kind, name)
        except ApiError as exc:
            if exc.status.code != 404:
                raise
            return None

    def all(self, kind: Any) -> dict[str, Obj]:
        """The objects of a kind, by name."""
        found = self.client.list(kind, namespace=self.namespace)
        return {obj.metadata.name: raw(obj) for obj in found}

    def images(self, prefix: str = "") -> dict[str, str]:
        """The tag of each pod's image."""
        return {
            name: pod["spec"]["containers"][0]["image"].rpartition(":")[2]
            for name, pod in sorted(self.all(Pod).items())
            if name.startswith(prefix) and not pod["metadata"].get("deletionTimestamp")
        }

    def scale(self, kind: Any, name: str, replicas: int) -> None:
        """Writes a count through ``/scale``."""
        self.client.patch(
            kind.Scale, name, {"spec": {"replicas": replicas}}, namespace=self.namespace,
            patch_type=PatchType.MERGE,
        )  # fmt: skip

    def events(self, name: str) -> dict[str, str]:
        """Reason to message of an object's events."""
        found = self.client.list(
            Event, namespace=self.namespace, fields={"involvedObject.name": name}
        )
        return {event.reason or "": event.message or "" for event in found}

    def until(self, check: Callable[[], Any], what: str = "", *, within: float = 20) -> Any:
        """Waits until ``check`` gives something true and returns it."""
        # Five programs more share the machine with a genuine controller.
        return until(check, what, within=3 * within if self.genuine else within)

    def ready(self, name: str) -> State:
        """Waits until a group of RoleInstanceSets is ready and rolled out."""

        def check() -> State | None:
            group = self.group(name)
            state = State.of(group)
            if state.ready != "True" or state.observed not in (None, state.generation):
                return None
            # That alone proves nothing (trap A4): the sets must have got this spec, and be done.
            done = all(self._rolled_out(name, spec) for spec in group["spec"]["roles"])
            return state if done else None

        return self.until(check, f"{name} ready")

    def _rolled_out(self, group: str, spec: Obj) -> bool:
        ris = self.find(RIS, f"{group}-{spec['name']}")
        if ris is None or self._rbg is not RBG:
            return self._rbg is not RBG
        status = ris.get("status") or {}
        shape = {key: value for key, value in spec.items() if key != "replicas"}
        label = ris["metadata"]["labels"].get(f"{NEW}role-revision-{spec['name']}")
        # Only the stand-in's digest can be made here; it tells that the set has got this spec.
        return (
            (self.genuine or label == digest(shape))
            and ris["spec"]["replicas"] == spec["replicas"]
            and status.get("observedGeneration") == ris["metadata"]["generation"]
            and status.get("currentRevision") == status.get("updateRevision")
            and status.get("readyReplicas") == spec["replicas"]
        )

    def history(self, name: str, since: Obj) -> list[State]:
        """Every state of a group from ``since`` (a raw object) until now, without repeats."""
        last = self.group(name)["metadata"]["resourceVersion"]
        states = [State.of(since)]
        if since["metadata"]["resourceVersion"] == last:
            return states
        version = since["metadata"]["resourceVersion"]
        for _, obj in self.client.watch(
            self._rbg, namespace=self.namespace, resource_version=version
        ):
            if obj.metadata.name != name:
                continue
            state = State.of(raw(obj))
            if state != states[-1]:
                states.append(state)
            if obj.metadata.resourceVersion == last:
                break
        return states

    def holds(self, check: Callable[[], Any], *, during: float = 0.8) -> None:
        """Nothing changes: ``check`` stays true for a while."""
        # What never comes cannot be awaited: there is nothing better than to look for a time.
        end = time.monotonic() + during
        while time.monotonic() < end:
            assert check()
            time.sleep(0.05)


class Here:
    """A fresh namespace of an embedded cluster."""

    def __init__(self, cluster: Any, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.client = cluster.client(namespace)

    def group(self, *roles: Obj, name: str = "g", **meta: Any) -> Any:
        """A RoleBasedGroup to send."""
        return RBG.from_dict({
            "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "RoleBasedGroup",
            "metadata": {"name": name, "namespace": self.namespace, **meta},
            "spec": {"roles": list(roles)},
        })  # fmt: skip

    def apply(self, *roles: Obj, manager: str = "rbg-k8s", force: bool = True, **meta: Any) -> Obj:
        """Applies the group and returns what the server answered."""
        group = self.group(*roles, **meta)
        return raw(self.client.apply(group, field_manager=manager, force=force))

    def config(self, name: str, **data: Any) -> Any:
        """A ConfigMap to send."""
        return ConfigMap.from_dict({"metadata": {"name": name, **data}, "data": {"k": "v"}})


def until(check: Callable[[], Any], what: str = "", *, within: float = 20) -> Any:
    """Waits until ``check`` gives something true and returns it."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {within} s: {what}")


def raw(obj: Any) -> Obj:
    """The plain JSON of a lightkube object."""
    return json.loads(json.dumps(obj.to_dict(), default=str))


def sha1(text: str) -> str:
    """The value of the label group-uid."""
    return hashlib.sha1(text.encode()).hexdigest()


def recorded(path: str) -> Any:
    """A YAML file of the recordings, the items of a list; None where the folder is missing."""
    file = OBSERVED / path
    if not file.exists():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = yaml.load(file.read_text(), Loader=loader)
    return found["items"] if isinstance(found, dict) and "items" in found else found
