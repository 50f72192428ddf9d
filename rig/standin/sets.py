"""The RoleInstanceSet: instances by ordinal, rollout from the highest, status."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from rig.standin import names
from rig.standin.kube import ApiError
from rig.standin.names import NEW, PATTERN, REVISION_HASH, Obj

if TYPE_CHECKING:
    from rig.standin.controller import Controller


class Sets:
    """Reconciles one RoleInstanceSet at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._kube = controller.kube

    async def reconcile(self, namespace: str, name: str) -> None:
        """One pass: scale, roll, tell."""
        ris = self._kube.get("ris", namespace, name)
        if ris is None or ris["metadata"].get("deletionTimestamp"):
            return
        template = ris["spec"]["roleInstanceTemplate"]
        update = f"{name}-{names.digest(template)}"
        await self._remember(ris, update, template)
        current = (ris.get("status") or {}).get("currentRevision") or update
        replicas = ris["spec"].get("replicas", 1)
        strategy = ris["spec"].get("updateStrategy") or {}
        partition = _partition(ris, replicas)
        found = self._instances(ris)
        for ordinal in sorted(found, reverse=True):
            if ordinal >= replicas:
                await self._kube.delete("ri", found.pop(ordinal))
        await self._create_missing(ris, found, replicas, partition, current, update)
        found = self._instances(ris)
        if not strategy.get("paused"):
            await self._roll(ris, found, replicas, partition, update)
        live = self._kube.get("ris", namespace, name)
        if live is not None:
            found = self._instances(ris)
            status = self._status(ris, found, replicas, partition, current, update)
            await self._kube.status("ris", live, status)

    def _instances(self, ris: Obj) -> dict[int, Obj]:
        meta = ris["metadata"]
        return {
            int(ri["metadata"]["name"].rpartition("-")[2]): ri
            for ri in self._kube.all("ri", meta["namespace"])
            if names.controller_of(ri).get("uid") == meta["uid"]
            and not ri["metadata"].get("deletionTimestamp")
        }

    # --- revisions -----------------------------------------------------------------------

    async def _remember(self, ris: Obj, revision: str, template: Obj) -> None:
        """Keeps the template of each revision, for instances below a partition."""
        meta = ris["metadata"]
        if self._kube.get("rev", meta["namespace"], revision) is not None:
            return
        labels = ris["spec"]["selector"]["matchLabels"]
        mine = [
            rev for rev in self._kube.all("rev", meta["namespace"])
            if names.controller_of(rev).get("uid") == meta["uid"]
        ]  # fmt: skip
        try:
            await self._kube.create("rev", {
                "metadata": {"name": revision, "namespace": meta["namespace"], "labels": labels,
                             "ownerReferences": names.owner(ris)},
                "revision": 1 + max((rev["revision"] for rev in mine), default=0),
                "data": {"spec": {"roleInstanceTemplate": template}},
            })  # fmt: skip
        except ApiError as exc:
            if exc.code != 409:
                raise

    def _template(self, ris: Obj, revision: str) -> Obj:
        rev = self._kube.get("rev", ris["metadata"]["namespace"], revision)
        if rev is None:
            return ris["spec"]["roleInstanceTemplate"]
        return rev["data"]["spec"]["roleInstanceTemplate"]

    # --- scaling -------------------------------------------------------------------------

    async def _create_missing(
        self, ris: Obj, found: dict[int, Obj], replicas: int, partition: int,
        current: str, update: str,
    ) -> None:  # fmt: skip
        ordered = ris["spec"].get("podManagementPolicy") == "OrderedReady"
        for ordinal in range(replicas):
            if ordinal in found:
                if ordered and not ready(found[ordinal]):
                    return
                continue
            revision = current if ordinal < partition else update
            name = f"{ris['metadata']['name']}-{ordinal}"
            if self._kube.get("ri", ris["metadata"]["namespace"], name) is not None:
                continue  # being deleted, or of an older set of this name
            await self._create(ris, ordinal, revision, replicas)
            if ordered:
                return

    async def _create(self, ris: Obj, ordinal: int, revision: str, replicas: int) -> None:
        meta = ris["metadata"]
        name = f"{meta['name']}-{ordinal}"
        template = copy.deepcopy(self._template(ris, revision))
        # As recorded: the template is shared between the instances while it is labelled, so
        # that every pod carries the numbers of the last one.
        last = replicas - 1
        for component in template["components"]:
            component["template"]["metadata"]["labels"] |= {
                NEW + "role-instance-index": str(last),
                "statefulset.kubernetes.io/pod-name": f"{meta['name']}-{last}",
            }
        labels = {
            **meta["labels"], REVISION_HASH: revision, NEW + "role-instance-index": str(ordinal),
            "statefulset.kubernetes.io/pod-name": name,
        }  # fmt: skip
        try:
            await self._kube.create("ri", {
                "metadata": {"name": name, "namespace": meta["namespace"], "labels": labels,
                             "ownerReferences": names.owner(ris)},
                "spec": {**template, "readyPolicy": "AllPodReady"},
            })  # fmt: skip
        except ApiError as exc:
            if exc.code != 409:
                raise

    # --- rollout -------------------------------------------------------------------------

    async def _roll(
        self, ris: Obj, found: dict[int, Obj], replicas: int, partition: int, update: str
    ) -> None:
        strategy = ris["spec"].get("updateStrategy") or {}
        allowed = max(names.scaled(strategy.get("maxUnavailable", 1), replicas), 1)
        unavailable = sum(1 for i in range(replicas) if i not in found or not ready(found[i]))
        for ordinal in sorted(found, reverse=True):
            ri = found[ordinal]
            if ordinal < partition or ordinal >= replicas or revision_of(ri) == update:
                continue
            # Trap A1: a broken instance takes a place of the budget that its own update needs,
            # so with maxUnavailable 1 nothing moves any more.
            free = not ready(ri) and not self._stuck(ris)
            if not free and unavailable >= allowed:
                return
            unavailable += 0 if free else 1
            if self._recreates(ris) or not same_pods(ri, ris):
                await self._kube.delete("ri", ri)
            else:
                await self._update_in_place(ris, ri, update)

    def _stuck(self, ris: Obj) -> bool:
        return self._controller.trap("A1") and not _stateless(ris)

    def _recreates(self, ris: Obj) -> bool:
        """Whether instances are replaced; nothing else is told apart, not even InPlaceOnly."""
        kind = (ris["spec"].get("updateStrategy") or {}).get("type")
        return kind == "RecreatePod" and (not self._controller.trap("recreate") or _stateless(ris))

    async def _update_in_place(self, ris: Obj, ri: Obj, update: str) -> None:
        template = copy.deepcopy(ris["spec"]["roleInstanceTemplate"])
        patch = {
            "metadata": {"labels": {**ris["metadata"]["labels"], REVISION_HASH: update}},
            "spec": template,
        }
        if self._controller.trap("A4"):
            self._controller.instances.hold_back(ri)
        await self._kube.merge("ri", ri, patch)

    # --- status --------------------------------------------------------------------------

    def _status(
        self, ris: Obj, found: dict[int, Obj], replicas: int, partition: int,
        current: str, update: str,
    ) -> Obj:  # fmt: skip
        updated = [ri for ri in found.values() if revision_of(ri) == update]
        whole = len(updated) == replicas and all(ready(ri) for ri in updated)
        if whole and len(found) == replicas and partition == 0:
            current = update
        # Trap A4: an instance just told to update is still counted as ready, as its own status
        # has not moved, so that a group is Ready in the middle of a rollout.
        stale = self._controller.trap("A4")
        up = [
            ri for ri in found.values()
            if ready(ri) or (stale and names.is_true(ri, "RoleInstanceReady"))
        ]  # fmt: skip
        labels = ris["spec"]["selector"]["matchLabels"]
        return {
            "observedGeneration": ris["metadata"]["generation"],
            "replicas": len(found), "readyReplicas": len(up), "availableReplicas": len(up),
            "updatedReplicas": len(updated),
            "updatedReadyReplicas": sum(ready(ri) for ri in updated),
            "expectedUpdatedReplicas": replicas - partition,
            "currentReplicas": sum(revision_of(ri) == current for ri in found.values()),
            "currentRevision": current, "updateRevision": update, "collisionCount": 0,
            "labelSelector": ",".join(f"{k}={labels[k]}" for k in sorted(labels)),
        }  # fmt: skip


def revision_of(ri: Obj) -> str:
    """The RoleInstanceSet's revision that an instance is of."""
    return (ri["metadata"].get("labels") or {}).get(REVISION_HASH, "")


def ready(ri: Obj) -> bool:
    """Whether an instance is ready, of the spec it has now."""
    observed = (ri.get("status") or {}).get("observedGeneration")
    return names.is_true(ri, "RoleInstanceReady") and observed == ri["metadata"]["generation"]


def same_pods(ri: Obj, ris: Obj) -> bool:
    """Whether an instance can be kept: its pods go by the same names."""
    return _sizes(ri["spec"]) == _sizes(ris["spec"]["roleInstanceTemplate"])


def _sizes(spec: Obj) -> Any:
    return {c["name"]: c.get("size", 1) for c in spec.get("components") or []}


def _stateless(ris: Obj) -> bool:
    return (ris["metadata"].get("annotations") or {}).get(PATTERN) == "Stateless"


def _partition(ris: Obj, replicas: int) -> int:
    """How many stay behind: a percentage is rounded down, for the stateless kind up."""
    asked = (ris["spec"].get("updateStrategy") or {}).get("partition")
    if not _stateless(ris):
        return min(names.scaled(asked, replicas), replicas)
    found = names.scaled(asked, replicas, up=True)
    if isinstance(asked, str) and asked != "100%" and found == replicas:
        found -= 1  # at least one is updated
    return max(min(found, replicas), 0)
