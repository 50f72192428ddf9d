"""The RoleBasedGroup: status first, then roles in dependency order, then what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rig.standin import bodies, names, roles
from rig.standin.history import History
from rig.standin.kube import ApiError
from rig.standin.names import NEW, Obj
from rig.standin.roles import Role, RoleError

if TYPE_CHECKING:
    from rig.standin.controller import Controller

_WORKLOADS = ("ris", "sts", "deploy", "lws")
_MODE = NEW + "discovery-config-mode"


class Group:
    """Reconciles one RoleBasedGroup at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._kube = controller.kube
        self._release = controller.release
        self._applied: dict[tuple[str, str, str], tuple[str, Any]] = {}
        self._history = History(controller)
        self._prepared: dict[str, Any] = {}
        self._done: dict[tuple[str, str], Any] = {}

    async def reconcile(self, namespace: str, name: str) -> None:
        """One pass, in the order of the genuine controller.

        That order makes trap A4: the status is built from the workloads as they are before
        this pass changes them, so a new generation is "observed" while all is still old.
        """
        rbg = self._kube.get("rbg", namespace, name)
        if rbg is None or rbg["metadata"].get("deletionTimestamp"):
            return
        try:
            wanted = roles.read(rbg)
        except RoleError as exc:
            await self._controller.event(rbg, "Warning", "FailedReconcileWorkload", str(exc))
            return
        await self._controller.adapters.override(rbg, wanted)
        if self._lost_mode(rbg):
            # The note is written in this pass, and its answer replaces the counts just taken.
            wanted = roles.read(rbg)
        await self._prepare(rbg, wanted)
        first = self._controller.trap("A4") and not self._release.early
        if first:
            await self._status(rbg, wanted)
        done = await self._roles(rbg, wanted)
        if done:
            await self._cleanup(rbg, wanted)
            await self._controller.event(rbg, "Normal", "Succeed", "ReconcileSucceed")
        # 0.3 says nothing at all before the dependencies of every role are met.
        if not first and (done or not self._release.early):
            await self._status(rbg, wanted)

    # --- before the roles ----------------------------------------------------------------

    async def _prepare(self, rbg: Obj, wanted: list[Role]) -> None:
        meta = rbg["metadata"]
        # Not only the generation: an adapter may have other counts than the group.
        seen = (meta["generation"], [role.replicas for role in wanted])
        if self._prepared.get(meta["uid"]) == seen:
            return
        if not self._release.early:
            await self._history.record(rbg)
        if not self._release.modern or await self._discovery_mode(rbg) == "refine":
            for config in bodies.config_maps(self._release, rbg, wanted):
                await self._apply("cm", config)
        self._prepared[meta["uid"]] = seen

    def _lost_mode(self, rbg: Obj) -> bool:
        """Whether a set took the note away again."""
        noted = _MODE in (rbg["metadata"].get("annotations") or {})
        return self._release.modern and not noted and bool(rbg.get("status"))

    async def _discovery_mode(self, rbg: Obj) -> str:
        """How the group's discovery file is kept; a group that lost the note counts as old."""
        mode = (rbg["metadata"].get("annotations") or {}).get(_MODE)
        if mode is None:
            mode = "legacy" if rbg.get("status") else "refine"
            await self._kube.merge("rbg", rbg, {"metadata": {"annotations": {_MODE: mode}}})
        return mode

    # --- status --------------------------------------------------------------------------

    async def _status(self, rbg: Obj, wanted: list[Role]) -> None:
        live = self._kube.get("rbg", rbg["metadata"]["namespace"], rbg["metadata"]["name"])
        if live is None or live["metadata"]["uid"] != rbg["metadata"]["uid"]:
            return
        old: list[Obj] = (live.get("status") or {}).get("roleStatuses") or []
        kept = {entry["name"]: entry for entry in old}
        fresh = {role.name: self._role_status(rbg, role, kept) for role in wanted}
        ready = all(
            fresh[role.name]["replicas"] == role.replicas
            and fresh[role.name]["readyReplicas"] == role.replicas
            for role in wanted
        )
        if not self._controller.trap("A4"):
            ready = ready and all(self._rolled_out(rbg, role) for role in wanted)
        entries = []
        for entry in old:
            new = fresh.pop(entry["name"], None)
            if new is None:
                # Trap 8: the entry of a removed role stays for ever.
                if self._controller.trap("8"):
                    entries.append(entry)
                continue
            # Trap A4 (and 7): updatedReplicas alone never makes an entry fresh.
            same = all(new[key] == entry.get(key) for key in ("replicas", "readyReplicas"))
            entries.append(entry if same and self._stale(rbg, entry["name"]) else new)
        entries += fresh.values()
        condition: Obj = {
            "type": "Ready", "status": str(ready),
            "reason": "AllRolesReady" if ready else "RoleNotReady",
            "message": "All roles are ready" if ready else "Not all role ready",
        }  # fmt: skip
        status: Obj = {"conditions": [condition], "roleStatuses": entries}
        if not self._release.early:
            # Of the generation this pass saw: a newer one gets a pass of its own.
            status["observedGeneration"] = rbg["metadata"]["generation"]
            condition["observedGeneration"] = rbg["metadata"]["generation"]
        await self._kube.status("rbg", live, status)

    def _stale(self, rbg: Obj, role: str) -> bool:
        paused = any(
            spec["name"] == role
            and ((spec.get("rolloutStrategy") or {}).get("rollingUpdate") or {}).get("paused")
            for spec in rbg["spec"]["roles"]
        )
        return self._controller.trap("7" if paused else "A4")

    def _role_status(self, rbg: Obj, role: Role, kept: dict[str, Obj]) -> Obj:
        entry: Obj = {"name": role.name, "replicas": 0, "readyReplicas": 0}
        if not self._release.early:
            entry["updatedReplicas"] = 0
        workload = self._workload(rbg, role)
        if workload is None:
            return entry
        status = workload.get("status") or {}
        observed = status.get("observedGeneration", 0)
        if role.workload != "lws" and observed < workload["metadata"].get("generation", 0):
            # Not observed yet: what was said before is repeated.
            return kept.get(role.name, entry)
        for key in entry:
            if key != "name":
                entry[key] = status.get(key, 0)
        if not self._release.modern:
            entry["replicas"] = workload["spec"].get("replicas", 0)
        return entry

    def _rolled_out(self, rbg: Obj, role: Role) -> bool:
        workload = self._workload(rbg, role)
        if workload is None:
            return False
        status = workload.get("status") or {}
        generation = workload["metadata"].get("generation")
        # A LeaderWorkerSet does not tell which generation it has seen.
        if role.workload != "lws" and status.get("observedGeneration") != generation:
            return False
        expected = status.get("expectedUpdatedReplicas", role.replicas)
        return status.get("updatedReplicas", 0) >= expected

    def _workload(self, rbg: Obj, role: Role) -> Obj | None:
        meta = rbg["metadata"]
        name = self._release.workload_name(meta["name"], role.name)
        return self._kube.get(role.workload, meta["namespace"], name)

    # --- roles ---------------------------------------------------------------------------

    async def _roles(self, rbg: Obj, wanted: list[Role]) -> bool:
        """Reconciles the roles; False when one waits or failed, which ends the pass."""
        event = self._controller.event
        try:
            order = roles.levels(wanted)
        except RoleError as exc:
            await event(rbg, "Warning", "InvalidRoleDependency", str(exc))
            return False
        by_name = {role.name: role for role in wanted}
        for level in order:
            failed = False
            for role in level:
                if not all(self._is_ready(rbg, by_name[name]) for name in role.dependencies):
                    text = f"dependencies not met for role '{role.name}'"
                    await event(rbg, "Warning", "DependencyNotMet", text)
                    return False
                try:
                    await self._role(rbg, role)
                except RoleError as exc:
                    failed = True
                    await event(rbg, "Warning", "FailedReconcileWorkload", str(exc))
                except ApiError as exc:
                    failed = True
                    text = f"Failed to reconcile role {role.name}: {exc}"
                    await event(rbg, "Warning", "FailedReconcileWorkload", text)
            if failed:
                return False
        return True

    def _is_ready(self, rbg: Obj, role: Role) -> bool:
        workload = self._workload(rbg, role)
        if workload is None:
            return False
        status = workload.get("status") or {}
        wanted = status.get("replicas", 0) if role.workload == "lws" else (
            workload["spec"].get("replicas", 1))  # fmt: skip
        if role.workload == "lws" and not status:
            return False
        return status.get("readyReplicas", 0) == wanted

    async def _role(self, rbg: Obj, role: Role) -> None:
        meta = rbg["metadata"]
        key = (meta["uid"], role.name)
        # The same spec, and nobody touched the children: a big group is quick.
        if self._done.get(key) != self._seen(rbg, role):
            body = bodies.workload(self._release, rbg, role)
            workload = await self._apply(role.workload, body)
            service = bodies.service(self._release, rbg, role, workload)
            if service is not None:
                await self._apply("svc", service)
            self._done[key] = self._seen(rbg, role)
        await self._controller.adapters.ensure(rbg, role)

    def _seen(self, rbg: Obj, role: Role) -> Any:
        workload = self._workload(rbg, role)
        known = None if workload is None else _state(workload)
        return (rbg["metadata"]["generation"], role.replicas, known)

    async def _apply(self, short: str, body: Obj) -> Obj:
        """Applies, unless exactly this was applied before and nobody changed it since."""
        meta = body["metadata"]
        key = (short, meta["namespace"], meta["name"])
        live = self._kube.get(short, meta["namespace"], meta["name"])
        known = self._applied.get(key)
        if live is not None and known == (names.digest(body), _state(live)):
            return live
        obj = await self._kube.apply(short, body)
        self._applied[key] = (names.digest(body), _state(obj))
        return self._kube.get(short, meta["namespace"], meta["name"]) or obj

    # --- after the roles -----------------------------------------------------------------

    async def _cleanup(self, rbg: Obj, wanted: list[Role]) -> None:
        """Deletes what removed roles left, workloads of another type, old revisions."""
        meta = rbg["metadata"]
        keep = {
            (role.workload, self._release.workload_name(meta["name"], role.name))
            for role in wanted
        }
        for short in _WORKLOADS:
            for workload in list(self._kube.all(short, meta["namespace"])):
                mine = names.controller_of(workload).get("uid") == meta["uid"]
                name = workload["metadata"]["name"]
                if not mine or (short, name) in keep:
                    continue
                if short == "sts" and ("ris", name) in keep and self._still_counted(workload):
                    continue
                await self._kube.delete(short, workload)
        await self._controller.adapters.cleanup(rbg, wanted)
        await self._history.shorten(rbg)

    def _still_counted(self, sts: Obj) -> bool:
        """Trap A2: the RoleInstances of the same name first count these pods as their own.

        The genuine controller loses this race in most runs; this one loses it always.
        """
        if not self._controller.trap("A2"):
            return False
        meta = sts["metadata"]
        ris = self._kube.get("ris", meta["namespace"], meta["name"])
        status = (ris or {}).get("status") or {}
        if ris and status.get("observedGeneration") != ris["metadata"]["generation"]:
            return True
        return any(
            names.controller_of(pod).get("uid") == meta["uid"]
            and names.is_true(pod, "Ready")
            and self._controller.instances.may_count(pod)
            for pod in self._kube.all("pod", meta["namespace"])
        )


def _state(obj: Obj) -> Any:
    """What changes when somebody else edits the object."""
    meta = obj["metadata"]
    if "generation" in meta:
        return (meta["uid"], meta["generation"], meta.get("labels"), meta.get("ownerReferences"))
    return (meta["uid"], obj.get("data"), obj.get("spec"))
