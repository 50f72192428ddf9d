"""StatefulSets and Deployments in miniature: pods, replacement, rollout, status.

Simpler than the real ones: a StatefulSet updates one pod at a time from the highest ordinal
and obeys ``partition``; a Deployment's pods hang on the Deployment itself (no ReplicaSet) and
are all replaced at once. Volume claims, surge and history are not played.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json

from rig.embedded.objects import Obj, controller_of, owner_reference, pod_ready
from rig.embedded.store import Event, Key, Store

_KINDS = {"StatefulSet": "statefulsets", "Deployment": "deployments"}
REVISION = "controller-revision-hash"


class Workloads:
    """Plays the two controllers on the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: set[Key] = set()
        store.listeners.append(self._saw)

    def _saw(self, event: Event) -> None:
        _, word, key, obj, _ = event
        if key[0] == ("", "pods"):
            owner = controller_of(obj)
            plural = _KINDS.get((owner or {}).get("kind", ""))
            if owner and plural:
                self._soon((("apps", plural), key[1], owner["name"]))
            elif word == "DELETED":
                # It may have had the name that a StatefulSet's pod needs.
                name = key[2].rpartition("-")[0]
                self._soon((("apps", "statefulsets"), key[1], name))
        elif key[0] in (("apps", "statefulsets"), ("apps", "deployments")) and word != "DELETED":
            self._soon(key)

    def _soon(self, key: Key) -> None:
        if key not in self._pending:
            self._pending.add(key)
            asyncio.get_running_loop().call_soon(self._reconcile, key)

    def _reconcile(self, key: Key) -> None:
        self._pending.discard(key)
        workload = self._store.objects.get(key)
        if workload is None or workload["metadata"].get("deletionTimestamp"):
            return
        uid = workload["metadata"]["uid"]
        pods = [
            pod for pod in self._store.all("pods", namespace=key[1])
            if (controller_of(pod) or {}).get("uid") == uid
        ]  # fmt: skip
        digest = hashlib.sha1(json.dumps(workload["spec"]["template"], sort_keys=True).encode())
        revision = f"{key[2]}-{digest.hexdigest()[:10]}"
        if workload["kind"] == "StatefulSet":
            self._stateful(key, workload, pods, revision)
        else:
            self._deployment(key, workload, pods, revision)
        pods = [
            pod for pod in self._store.all("pods", namespace=key[1])
            if (controller_of(pod) or {}).get("uid") == uid
        ]  # fmt: skip
        self._status(key, workload, pods, revision)

    def _stateful(self, key: Key, sts: Obj, pods: list[Obj], revision: str) -> None:
        replicas = sts["spec"].get("replicas", 1)
        strategy = sts["spec"].get("updateStrategy") or {}
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        mine = {pod["metadata"]["name"]: pod for pod in pods}
        names = [f"{key[2]}-{index}" for index in range(replicas)]
        for name in set(mine) - set(names):
            self._delete(mine.pop(name))
        for index, name in enumerate(names):
            taken = (("", "pods"), key[1], name) in self._store.objects
            if name not in mine and not taken:
                self._create(key, sts, name, revision, index)
        for index, name in reversed(list(enumerate(names))):
            pod = mine.get(name)
            if pod is None:
                return
            if index >= partition and pod["metadata"]["labels"].get(REVISION) != revision:
                self._delete(pod)
                return
            # A broken pod of another revision is replaced too, a broken one of this is awaited.
            if not pod_ready(pod) and index >= partition:
                return

    def _deployment(self, key: Key, workload: Obj, pods: list[Obj], revision: str) -> None:
        replicas = workload["spec"].get("replicas", 1)
        current = []
        for pod in pods:
            if pod["metadata"]["labels"].get(REVISION) == revision:
                current.append(pod)
            else:
                self._delete(pod)
        for pod in current[replicas:]:
            self._delete(pod)
        for _ in range(replicas - len(current)):
            self._create(key, workload, "", revision, None)

    def _create(self, key: Key, owner: Obj, name: str, revision: str, index: int | None) -> None:
        template = copy.deepcopy(owner["spec"]["template"])
        meta = template.get("metadata") or {}
        labels = {**(meta.get("labels") or {}), REVISION: revision}
        spec = template["spec"]
        if index is not None:
            labels["statefulset.kubernetes.io/pod-name"] = name
            labels["apps.kubernetes.io/pod-index"] = str(index)
            spec["hostname"], spec["subdomain"] = name, owner["spec"].get("serviceName", "")
        body: Obj = {
            "apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {**meta, "labels": labels, "ownerReferences": [owner_reference(owner)]},
        }  # fmt: skip
        if name:
            body["metadata"]["name"] = name
        else:
            body["metadata"]["generateName"] = f"{key[2]}-"
        self._store.create(self._store.kinds["", "pods"], key[1], body)

    def _delete(self, pod: Obj) -> None:
        meta = pod["metadata"]
        if (("", "pods"), meta["namespace"], meta["name"]) in self._store.objects:
            self._store.delete(self._store.kinds["", "pods"], meta["namespace"], meta["name"])

    def _status(self, key: Key, workload: Obj, pods: list[Obj], revision: str) -> None:
        live = self._store.objects.get(key)
        if live is None:
            return
        updated = [p for p in pods if p["metadata"]["labels"].get(REVISION) == revision]
        ready = sum(pod_ready(pod) for pod in pods)
        before = live.get("status") or {}
        status: Obj = {
            "observedGeneration": workload["metadata"]["generation"],
            "replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready,
            "updatedReplicas": len(updated),
        }  # fmt: skip
        if workload["kind"] == "StatefulSet":
            done = len(updated) == len(pods)
            current = revision if done else before.get("currentRevision", revision)
            status |= {
                "collisionCount": 0, "updateRevision": revision, "currentRevision": current,
                "currentReplicas": sum(
                    p["metadata"]["labels"].get(REVISION) == current for p in pods
                ),
            }  # fmt: skip
        kind = self._store.kinds[key[0]]
        self._store.update(kind, live, {**live, "status": status}, subresource="status")
