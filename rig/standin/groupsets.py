"""The RoleBasedGroupSet: groups of one template, all told of a change at once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from rig.standin import names
from rig.standin.kube import ApiError
from rig.standin.names import NEW, OLD, Obj

if TYPE_CHECKING:
    from rig.standin.controller import Controller

_MODE = NEW + "discovery-config-mode"
_TOPOLOGY = OLD + "exclusive-topology"
# What a child takes of the template's spec up to 0.6; the roles only since 0.7.
_COPIED = ("roles", "podGroupPolicy", "coordination")


class GroupSets:
    """Reconciles one RoleBasedGroupSet at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._kube = controller.kube
        self._release = controller.release
        self._manager = controller.release.manager("rolebasedgroupset")

    async def reconcile(self, namespace: str, name: str) -> None:
        """One pass, in the order of the genuine controller: delete, update, create, tell."""
        owner = self._kube.get("rbgset", namespace, name)
        if owner is None or owner["metadata"].get("deletionTimestamp"):
            return
        replicas = owner["spec"].get("replicas", 1)
        template = self._template(owner)
        found: dict[int, Obj] = {}
        for child in self._children(owner):
            number = child["metadata"]["labels"].get(self._release.set_labels[1], "")
            if number.isdigit() and int(number) < replicas:
                found[int(number)] = child
            else:
                await self._kube.delete("rbg", child)
        for number, child in found.items():
            await self._update(owner, template, number, child)
        for number in range(replicas):
            if number not in found:
                await self._create(owner, template, number)
        await self._status(owner, replicas)

    def _children(self, owner: Obj) -> list[Obj]:
        """Known by their label alone, whoever made them."""
        meta = owner["metadata"]
        return [
            rbg for rbg in self._kube.all("rbg", meta["namespace"])
            if (rbg["metadata"].get("labels") or {}).get(
                self._release.set_labels[0]) == meta["name"]
            and not rbg["metadata"].get("deletionTimestamp")
        ]  # fmt: skip

    def _template(self, owner: Obj) -> Obj:
        """What every child is to be: labels, annotations and spec, but no role templates."""
        if self._release.modern:
            group = owner["spec"]["groupTemplate"]
            return {
                "labels": group.get("labels") or {},
                "annotations": group.get("annotations") or {},
                "spec": {"roles": group["spec"]["roles"]},
            }
        spec = owner["spec"]["template"]
        topology = (owner["metadata"].get("annotations") or {}).get(_TOPOLOGY)
        return {
            "labels": {},
            "annotations": {_TOPOLOGY: topology} if topology else {},
            "spec": {key: spec[key] for key in _COPIED if key in spec},
        }

    async def _create(self, owner: Obj, template: Obj, number: int) -> None:
        meta = owner["metadata"]
        annotations = template["annotations"]
        body: Obj = {
            "metadata": {"name": f"{meta['name']}-{number}", "namespace": meta["namespace"],
                         "labels": self._labels(owner, template, number),
                         **({"annotations": annotations} if annotations else {}),
                         "ownerReferences": names.owner(owner)},
            "spec": copy.deepcopy(template["spec"]),
        }  # fmt: skip
        try:
            await self._kube.create("rbg", body, manager=self._manager)
        except ApiError as exc:
            if exc.code != 409:
                raise

    async def _update(self, owner: Obj, template: Obj, number: int, child: Obj) -> None:
        """A plain Update: whatever else was written into the child is gone."""
        meta = child["metadata"]
        labels: Any = self._labels(owner, template, number)
        annotations: Any = dict(template["annotations"])
        before = meta.get("annotations") or {}
        if not self._release.modern:
            labels = meta["labels"]
            annotations = {k: v for k, v in before.items() if k != _TOPOLOGY} | annotations
        elif not self._controller.trap("set-discovery") and _MODE in before:
            annotations.setdefault(_MODE, before[_MODE])
        copied = ("roles",) if self._release.modern else _COPIED
        others = {key: value for key, value in child["spec"].items() if key not in copied}
        spec = {**others, **template["spec"]}
        same = _plain(_sorted(child["spec"])) == _plain(_sorted(spec))
        if same and (meta["labels"], before) == (labels, annotations):
            return
        changed = {**meta, "labels": labels, "annotations": annotations}
        if not annotations:
            changed.pop("annotations")
        spec = child["spec"] if same else copy.deepcopy(spec)
        await self._kube.put("rbg", {**child, "metadata": changed, "spec": spec},
                             manager=self._manager)  # fmt: skip

    def _labels(self, owner: Obj, template: Obj, number: int) -> dict[str, str]:
        mine, index = self._release.set_labels
        return {**template["labels"], mine: owner["metadata"]["name"], index: str(number)}

    async def _status(self, owner: Obj, replicas: int) -> None:
        meta = owner["metadata"]
        live = self._kube.get("rbgset", meta["namespace"], meta["name"])
        if live is None:
            return
        children = self._children(owner)
        ready = sum(names.is_true(child, "Ready") for child in children)
        done = ready >= replicas
        await self._kube.status("rbgset", live, {
            "replicas": len(children), "readyReplicas": ready,
            "conditions": [{
                "type": "Ready", "status": str(done),
                "reason": "AllReplicasReady" if done else "ReplicasNotReady",
                "message": "All RoleBasedGroup replicas are ready." if done else
                           f"Waiting for replicas to be ready ({ready}/{replicas})",
            }],
        })  # fmt: skip


def _sorted(spec: Obj) -> Obj:
    return {**spec, "roles": sorted(spec["roles"], key=lambda role: role["name"])}


def _plain(value: Any) -> Any:
    """Without what is empty: the same to a controller that reads typed objects."""
    if isinstance(value, dict):
        kept = {key: _plain(child) for key, child in value.items()}
        return {key: child for key, child in kept.items() if child not in ({}, [], None)}
    return [_plain(child) for child in value] if isinstance(value, list) else value
