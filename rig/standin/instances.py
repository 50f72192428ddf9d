"""The RoleInstance: its pods, images swapped in place, its conditions."""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING

from rig.standin import inplace, names
from rig.standin.kube import ApiError, now
from rig.standin.names import INPLACE_STATE, INSTANCE_NAME, NEW, REVISION_HASH, Obj

if TYPE_CHECKING:
    from rig.standin.controller import Controller

# Seconds after which an image swapped in place counts as running although the kubelet (or
# kwok, which needs a stage of its own for it) never reported another image ID.
_GRACE = 2.0
# Seconds from an update of an instance until its pods see it (trap A4).
_PACE = 0.12


class Instances:
    """Reconciles one RoleInstance at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._kube = controller.kube
        self._swapped: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        # What a pod was made of, so that an update in place can take labels and annotations
        # away; forgotten by a restart, which then leaves them on the pod.
        self._made_of: dict[str, Obj] = {}

    def hold_back(self, ri: Obj) -> None:
        """Leaves an instance alone for a moment, which the genuine controller takes as well."""
        self._not_before[ri["metadata"]["uid"]] = time.monotonic() + _PACE

    def forget(self, pod: Obj) -> None:
        """Drops what is remembered of a pod that is gone."""
        self._swapped.pop(pod["metadata"]["uid"], None)
        self._made_of.pop(pod["metadata"]["uid"], None)

    async def reconcile(self, namespace: str, name: str) -> None:
        """One pass: pods, then status."""
        ri = self._kube.get("ri", namespace, name)
        if ri is None or ri["metadata"].get("deletionTimestamp"):
            return
        left = self._not_before.get(ri["metadata"]["uid"], 0) - time.monotonic()
        if left > 0:
            self._controller.queue.add(("ri", namespace, name), after=left + 0.01)
            return
        self._not_before.pop(ri["metadata"]["uid"], None)
        revision = names.digest(ri["spec"]["components"])
        if self._controller.trap("A2") and (_lost(ri) or self._counts_foreign(ri)):
            await self._kube.status("ri", ri, _lost_status(ri, revision))
            return
        wanted = expected(ri)
        pods = self._own_pods(ri)
        for pod_name, pod in pods.items():
            if pod_name not in wanted or pod.get("status", {}).get("phase") == "Failed":
                await self._kube.delete("pod", pod)
        for pod_name, (component, number, position) in wanted.items():
            there = self._kube.get("pod", namespace, pod_name)
            if there is None:
                await self._create(ri, pod_name, component, number, position, revision)
            elif pod_name in pods and there["metadata"]["labels"].get(REVISION_HASH) != revision:
                made_of = self._made_of.get(there["metadata"]["uid"])
                if inplace.possible(there, made_of, component["template"]):
                    await self._swap(there, component, revision, f"{name}-{revision}")
                else:
                    await self._kube.delete("pod", there)
        pods = self._own_pods(ri)
        await self._kube.status("ri", ri, self._status(ri, wanted, pods, revision))

    def _own_pods(self, ri: Obj) -> dict[str, Obj]:
        uid = ri["metadata"]["uid"]
        return {
            pod["metadata"]["name"]: pod
            for pod in self._kube.all("pod", ri["metadata"]["namespace"])
            if names.controller_of(pod).get("uid") == uid
            and not pod["metadata"].get("deletionTimestamp")
        }

    # --- trap A2 -------------------------------------------------------------------------

    def may_count(self, pod: Obj) -> bool:
        """Whether a RoleInstance will yet take this foreign pod for its own."""
        meta = pod["metadata"]
        ri = self._kube.get("ri", meta["namespace"], meta["name"])
        return ri is not None and meta["name"] in expected(ri) and not _lost(ri)

    def _counts_foreign(self, ri: Obj) -> bool:
        for name in expected(ri):
            pod = self._kube.get("pod", ri["metadata"]["namespace"], name)
            if pod is None or names.controller_of(pod).get("kind") != "StatefulSet":
                return False
            if not names.is_true(pod, "Ready"):
                return False
        return True

    # --- pods ----------------------------------------------------------------------------

    async def _create(
        self, ri: Obj, name: str, component: Obj, number: int, position: int, revision: str
    ) -> None:
        meta = ri["metadata"]
        template = copy.deepcopy(component["template"])
        labels = template["metadata"]["labels"]
        labels |= {
            REVISION_HASH: revision, INSTANCE_NAME: meta["name"],
            NEW + "component-id": str(number), NEW + "component-name": component["name"],
        }  # fmt: skip
        kind = meta["labels"].get(NEW + "role-type")
        if kind == "LeaderWorkerSet":
            labels[NEW + "component-index"] = str(position)
        spec = template["spec"]
        if component.get("serviceName"):
            spec["hostname"], spec["subdomain"] = name, component["serviceName"]
        try:
            pod = await self._kube.create("pod", {
                "metadata": {
                    **template["metadata"], "name": name, "namespace": meta["namespace"],
                    "generateName": f"{meta['name']}-", "ownerReferences": names.owner(ri),
                },
                "spec": spec,
            })  # fmt: skip
            self._made_of[pod["metadata"]["uid"]] = component["template"]
        except ApiError as exc:
            # Of an older owner still: its deletion wakes this instance again.
            if exc.code != 409:
                raise

    async def _swap(self, pod: Obj, component: Obj, revision: str, full: str) -> None:
        """Other images and metadata in place: the pod keeps its name and uid."""
        new = component["template"]
        images = {c["name"]: c.get("image") for c in new["spec"].get("containers") or []}
        changed = [
            c["name"] for c in pod["spec"]["containers"] if images.get(c["name"]) != c.get("image")
        ]
        statuses = pod.get("status", {}).get("containerStatuses") or []
        last = {
            s["name"]: {"imageID": s.get("imageID", "")} for s in statuses if s["name"] in changed
        }
        state = {"revision": full, "updateTimestamp": now(), "lastContainerStatuses": last or None}
        meta = new.get("metadata") or {}
        labels: Obj = dict(meta.get("labels") or {})
        annotations: Obj = dict(meta.get("annotations") or {})
        before = self._made_of.get(pod["metadata"]["uid"], {}).get("metadata") or {}
        for now_there, was_there in ((labels, "labels"), (annotations, "annotations")):
            for key in before.get(was_there) or {}:
                now_there.setdefault(key, None)
        self._made_of[pod["metadata"]["uid"]] = new
        labels[REVISION_HASH] = revision
        annotations[INPLACE_STATE] = json.dumps(state)
        patch: Obj = {"metadata": {"labels": labels, "annotations": annotations}}
        if changed:
            patch["spec"] = {"containers": [{"name": n, "image": images[n]} for n in changed]}
        await self._kube.merge("pod", pod, patch, strategic=True)
        if changed:
            self._swapped[pod["metadata"]["uid"]] = time.monotonic()
            owner = names.controller_of(pod)["name"]
            key = ("ri", pod["metadata"]["namespace"], owner)
            self._controller.queue.add(key, after=_GRACE + 0.05)

    def _pod_ready(self, pod: Obj, revision: str) -> bool:
        if not names.is_true(pod, "Ready"):
            return False
        if pod["metadata"]["labels"].get(REVISION_HASH) != revision:
            return False
        since = self._swapped.get(pod["metadata"]["uid"])
        if since is None or time.monotonic() - since > _GRACE:
            return True
        text = (pod["metadata"].get("annotations") or {}).get(INPLACE_STATE, "{}")
        last = json.loads(text).get("lastContainerStatuses") or {}
        seen = {s["name"]: s.get("imageID") for s in pod["status"].get("containerStatuses") or []}
        return all(seen.get(name) != entry["imageID"] for name, entry in last.items())

    # --- status --------------------------------------------------------------------------

    def _status(
        self, ri: Obj, wanted: dict[str, tuple[Obj, int, int]], pods: dict[str, Obj], revision: str
    ) -> Obj:
        by_component: dict[str, list[Obj]] = {c["name"]: [] for c in ri["spec"]["components"]}
        for name, (component, _, _) in wanted.items():
            if name in pods:
                by_component[component["name"]].append(pods[name])
        counts = []
        for name, group in by_component.items():
            ready = sum(self._pod_ready(pod, revision) for pod in group)
            updated = sum(p["metadata"]["labels"].get(REVISION_HASH) == revision for p in group)
            counts.append({
                "name": name, "size": len(group), "readyReplicas": ready,
                "availableReplicas": ready, "updatedReplicas": updated,
                "updatedReadyReplicas": ready,
                "scheduledReplicas": sum(names.is_true(pod, "PodScheduled") for pod in group),
            })  # fmt: skip
        unready = next(
            (n for n in wanted if n not in pods or not self._pod_ready(pods[n], revision)), None
        )
        swapping = unready in pods and pods[unready]["metadata"]["uid"] in self._swapped
        if unready is None:
            conditions = [_ready(), _pods_ready()]
        else:
            namespace = ri["metadata"]["namespace"]
            reason = "InplaceUpdateNotReady" if swapping else "PodsNotReady"
            text = (f"instance need all pods to be ready, but {namespace}/{unready} is in "
                    "notready condition")  # fmt: skip
            conditions = [
                {"type": "RoleInstanceReady", "status": "False", "reason": reason,
                 "message": "NotReady"},
                {"type": "RoleInstanceAllPodsReady", "status": "False",
                 "reason": "AtLeastOnePodNotReady", "message": text},
            ]  # fmt: skip
        if any(pod["metadata"]["uid"] in self._swapped for pod in pods.values()):
            done: Obj = {"status": "True"} if unready is None else {
                "status": "False", "reason": "StartInPlaceUpdate"}  # fmt: skip
            conditions.append({"type": "RoleInstanceInPlaceUpdateReady", **done})
        return {
            "observedGeneration": ri["metadata"]["generation"], "collisionCount": 0,
            "componentStatuses": counts, "conditions": conditions,
            **_revisions(ri, revision, whole=len(pods) == len(wanted)),
        }  # fmt: skip


def expected(ri: Obj) -> dict[str, tuple[Obj, int, int]]:
    """The pods of an instance: name to component, number in it, number in the instance."""
    name = ri["metadata"]["name"]
    kind = ri["metadata"]["labels"].get(NEW + "role-type")
    found: dict[str, tuple[Obj, int, int]] = {}
    position = 0
    for component in ri["spec"]["components"]:
        for number in range(component.get("size", 1)):
            if kind == "LeaderWorkerSet":
                pod = f"{name}-{position}"
            elif kind == "Components":
                pod = f"{name}-{component['name']}-{number}"
            else:
                pod = name
            found[pod] = (component, number, position)
            position += 1
    return found


def _ready() -> Obj:
    return {"type": "RoleInstanceReady", "status": "True", "reason": "Ready"}


def _pods_ready() -> Obj:
    return {"type": "RoleInstanceAllPodsReady", "status": "True", "reason": "PodsReady",
            "message": "Ready"}  # fmt: skip


def _revisions(ri: Obj, revision: str, *, whole: bool) -> Obj:
    full = f"{ri['metadata']['name']}-{revision}"
    before = (ri.get("status") or {}).get("currentRevision")
    return {"currentRevision": full if whole else before or full, "updateRevision": full}


def _lost(ri: Obj) -> bool:
    """Whether trap A2 has this instance: Ready without a single pod."""
    counts = (ri.get("status") or {}).get("componentStatuses") or []
    return bool(counts) and names.is_true(ri, "RoleInstanceReady") and not any(
        count.get("size") for count in counts
    )  # fmt: skip


def _lost_status(ri: Obj, revision: str) -> Obj:
    zero = ("size", "readyReplicas", "availableReplicas", "scheduledReplicas", "updatedReplicas",
            "updatedReadyReplicas")  # fmt: skip
    return {
        "observedGeneration": ri["metadata"]["generation"], "collisionCount": 0,
        "componentStatuses": [
            {"name": c["name"], **dict.fromkeys(zero, 0)} for c in ri["spec"]["components"]
        ],
        "conditions": [_ready(), _pods_ready()],
        **_revisions(ri, revision, whole=True),
    }  # fmt: skip
