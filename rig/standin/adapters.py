"""The RoleBasedGroupScalingAdapter: made for a role, bound to it, obeyed when it is scaled."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from rig.standin import names
from rig.standin.kube import ApiError, now
from rig.standin.names import NEW, Obj
from rig.standin.roles import Role

if TYPE_CHECKING:
    from rig.standin.controller import Controller

# Seconds until an adapter whose role is missing is looked at again.
_UNBOUND = 10.0
_SOON = 0.05


class Adapters:
    """Makes and removes adapters for groups, and reconciles one adapter at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._kube = controller.kube
        self._release = controller.release
        # Workloads whose selector was once read too early (trap 4).
        self._raced: set[str] = set()

    # --- for the group -------------------------------------------------------------------

    async def override(self, rbg: Obj, wanted: list[Role]) -> None:
        """Since 0.8 the count of a bound adapter is taken, whatever the group says."""
        if self._release.name != "v0.8":
            return
        for role in wanted:
            adapter = self._of(rbg, role)
            if not enabled(role) or adapter is None:
                continue
            bound = (adapter.get("status") or {}).get("phase") == "Bound"
            desired = adapter["spec"].get("replicas")
            if not bound or desired in (None, role.replicas):
                continue
            name = adapter["metadata"]["name"]
            text = (
                f'Role "{role.name}" replicas reset to RBGSA "{name}" (desired={desired}, '
                f"observed={role.replicas}); external mutator (e.g. helm upgrade) likely "
                "dropped spec.roles[].replicas"
            )
            await self._controller.event(rbg, "Warning", "ReplicasOverriddenByAdapter", text)
            role.replicas = desired

    async def ensure(self, rbg: Obj, role: Role) -> None:
        """Creates, relabels or deletes the adapter of a role."""
        if self._release.early:
            return
        adapter = self._of(rbg, role)
        if adapter is None and enabled(role):
            meta = rbg["metadata"]
            await self._kube.create("rbgsa", {
                "metadata": {"name": f"{meta['name']}-{role.name}",
                             "namespace": meta["namespace"], "labels": self._labels(rbg, role),
                             "ownerReferences": names.owner(rbg, controller=False)},
                "spec": {"scaleTargetRef": {"name": meta["name"], "role": role.name}},
            }, manager=self._release.manager("rolebasedgroup"))  # fmt: skip
        elif adapter is not None and not enabled(role):
            await self._kube.delete("rbgsa", adapter)
        elif adapter is not None and self._release.modern:
            labels = self._labels(rbg, role)
            if adapter["metadata"].get("labels") != labels:
                await self._kube.put(
                    "rbgsa", {**adapter, "metadata": {**adapter["metadata"], "labels": labels}},
                    manager=self._release.manager("rolebasedgroup"),
                )  # fmt: skip

    async def cleanup(self, rbg: Obj, wanted: list[Role]) -> None:
        """Deletes the adapters of roles that the group has no more."""
        meta = rbg["metadata"]
        left = {role.name for role in wanted}
        for adapter in list(self._kube.all("rbgsa", meta["namespace"])):
            target = adapter["spec"]["scaleTargetRef"]
            mine = _owned(adapter, rbg) and target["name"] == meta["name"]
            if mine and target["role"] not in left:
                await self._kube.delete("rbgsa", adapter)

    def of_group(self, namespace: str, group: str) -> list[str]:
        """The names of a group's adapters, by their label."""
        label = self._release.prefix + self._release.group_label
        return [
            adapter["metadata"]["name"] for adapter in self._kube.all("rbgsa", namespace)
            if (adapter["metadata"].get("labels") or {}).get(label) == group
        ]  # fmt: skip

    def _of(self, rbg: Obj, role: Role) -> Obj | None:
        meta = rbg["metadata"]
        return self._kube.get("rbgsa", meta["namespace"], f"{meta['name']}-{role.name}")

    def _labels(self, rbg: Obj, role: Role) -> dict[str, str]:
        theirs = (role.spec.get("scalingAdapter") or {}).get("labels") or {}
        return {**theirs, **self._release.selector(rbg["metadata"]["name"], role.name)}

    # --- the adapter itself --------------------------------------------------------------

    async def reconcile(self, namespace: str, name: str) -> None:
        """One pass: bind, or hand the count on to the group."""
        adapter = self._kube.get("rbgsa", namespace, name)
        if adapter is None or adapter["metadata"].get("deletionTimestamp"):
            return
        target = adapter["spec"]["scaleTargetRef"]
        rbg = self._kube.get("rbg", namespace, target["name"])
        if rbg is None or not _owned(adapter, rbg):
            return
        spec = _role_of(rbg, target["role"])
        if spec is None:
            await self._unbound(adapter, target)
            return
        current = spec.get("replicas", 1)
        if (adapter.get("status") or {}).get("phase") != "Bound":
            await self._bind(adapter, rbg, spec, current)
            return
        if self._release.modern:
            ready = self._ready(rbg, target["role"])
            if ready is not None and ready != (adapter["status"] or {}).get("readyReplicas"):
                await self._tell(adapter, {"readyReplicas": ready})
        desired = adapter["spec"].get("replicas")
        if desired not in (None, current):
            await self._scale(adapter, rbg, target, current, desired)

    async def _unbound(self, adapter: Obj, target: Obj) -> None:
        text = (
            f"Failed to get scale target role: Failed to get role {target['role']} in rbg "
            f"{target['name']}:: role {target['role']} not found"
        )
        kind = "Warning" if self._release.modern else "Normal"
        await self._controller.event(adapter, kind, "FailedGetRBGRole", text)
        await self._tell(adapter, {"phase": "NotBound"})
        self._again(adapter, _UNBOUND)

    async def _bind(self, adapter: Obj, rbg: Obj, spec: Obj, replicas: int) -> None:
        """Takes the role's count over, and reads the selector: the only time it does."""
        meta = adapter["metadata"]
        where = {"name": meta["name"], "namespace": meta["namespace"]}
        target = adapter["spec"]["scaleTargetRef"]
        selector = self._selector(rbg, spec)
        if selector is None:
            self._again(adapter, _SOON)
            return
        body: Obj = {"scaleTargetRef": target, "replicas": replicas}
        await self._kube.apply("rbgsa", {"metadata": where, "spec": body})
        status: Obj = {"phase": "Bound", "replicas": replicas, "selector": selector}
        if self._release.modern:
            status["readyReplicas"] = self._ready(rbg, target["role"]) or 0
        await self._tell(adapter, status)
        text = f"Succeed to find scale target role [{target['role']}] of rbg [{target['name']}]"
        await self._controller.event(adapter, "Normal", "SuccessfulBound", text)
        self._again(adapter, _SOON)

    def _selector(self, rbg: Obj, spec: Obj) -> str | None:
        """The selector of the role's pods, None when it is too early to ask.

        StatefulSets and Deployments have no such field in their status: always empty. A
        LeaderWorkerSet has one a moment after it is made, which is too late for the first
        adapter. A RoleInstanceSet has it in time in most cases; trap 4 plays that it has not.
        """
        wanted = Role.of(rbg, spec)
        meta = rbg["metadata"]
        name = self._release.workload_name(meta["name"], wanted.name)
        workload = self._kube.get(wanted.workload, meta["namespace"], name)
        if workload is None:
            return None
        status = workload.get("status") or {}
        if wanted.workload != "ris":
            return status.get("hpaPodSelector", "") if wanted.workload == "lws" else ""
        found = status.get("labelSelector")
        if found is None:
            return None
        uid = workload["metadata"]["uid"]
        if self._controller.trap("4") and uid not in self._raced:
            self._raced.add(uid)
            found = ""
        leaders = f",{NEW}component-index=0" if wanted.pattern == "LeaderWorkerSet" else ""
        return found + leaders

    async def _scale(
        self, adapter: Obj, rbg: Obj, target: Obj, current: int, desired: int
    ) -> None:  # fmt: skip
        what = (f"scale target role [{target['role']}] of rbg [{target['name']}] from {current} "
                f"to {desired} replicas")  # fmt: skip
        try:
            await self._write(rbg, target["role"], desired)
        except ApiError as exc:
            if exc.code == 409:
                self._again(adapter, _SOON)
                return
            await self._controller.event(
                adapter, "Warning", "FailedScale", f"Failed to {what}: {exc}"
            )
            raise
        await self._tell(adapter, {"replicas": desired, "lastScaleTime": now()})
        await self._controller.event(adapter, "Normal", "SuccessfulScale", f"Succeed to {what}")

    async def _write(self, rbg: Obj, role: str, replicas: int) -> None:
        """A plain Update of the whole group: the field's owner is the adapter from now on."""
        changed = copy.deepcopy(rbg)
        for spec in changed["spec"]["roles"]:
            if spec["name"] == role:
                spec["replicas"] = replicas
        await self._kube.put(
            "rbg", changed, manager=self._release.manager("rolebasedgroupscalingadapter")
        )

    async def _tell(self, adapter: Obj, news: Obj) -> None:
        meta = adapter["metadata"]
        live = self._kube.get("rbgsa", meta["namespace"], meta["name"])
        if live is not None and live["metadata"]["uid"] == meta["uid"]:
            await self._kube.status("rbgsa", live, {**(live.get("status") or {}), **news})

    @staticmethod
    def _ready(rbg: Obj, role: str) -> Any:
        for entry in (rbg.get("status") or {}).get("roleStatuses") or []:
            if entry["name"] == role:
                return entry["readyReplicas"]
        return None

    def _again(self, adapter: Obj, after: float) -> None:
        meta = adapter["metadata"]
        self._controller.queue.add(("rbgsa", meta["namespace"], meta["name"]), after=after)


def enabled(role: Role) -> bool:
    """Whether a role asks for an adapter."""
    return bool((role.spec.get("scalingAdapter") or {}).get("enable"))


def _owned(adapter: Obj, rbg: Obj) -> bool:
    owners = adapter["metadata"].get("ownerReferences") or []
    return any(owner["uid"] == rbg["metadata"]["uid"] for owner in owners)


def _role_of(rbg: Obj, name: str) -> Obj | None:
    return next((spec for spec in rbg["spec"]["roles"] if spec["name"] == name), None)
