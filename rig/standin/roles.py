"""What a role of either API version asks for, in one shape, with its pod templates."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from rig.standin.merge import strategic_merge
from rig.standin.names import NEW, PATTERN, WORKLOAD_TYPE, Obj, Release

KINDS = {
    "apps/v1/StatefulSet": "sts",
    "apps/v1/Deployment": "deploy",
    "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet": "lws",
    "workloads.x-k8s.io/v1alpha2/RoleInstanceSet": "ris",
}


class RoleError(Exception):
    """A role that the controller refuses; the text is its event."""


@dataclasses.dataclass
class Component:
    """One kind of pod of an instance."""

    name: str
    size: int
    template: Obj
    service: str = ""


@dataclasses.dataclass
class Role:
    """One role."""

    spec: Obj
    name: str
    replicas: int
    dependencies: list[str]
    workload: str
    rollout: Obj

    @classmethod
    def of(cls, rbg: Obj, spec: Obj) -> Role:
        """One role of a group.

        Raises:
            RoleError: a workload type that the controller does not know.
        """
        rollout = (spec.get("rolloutStrategy") or {}).get("rollingUpdate") or {}
        return cls(spec, spec["name"], spec.get("replicas", 1), spec.get("dependencies") or [],
                   _workload(rbg, spec), rollout)  # fmt: skip

    @property
    def pattern(self) -> str:
        """The value of the label ``role-type``."""
        if self.spec.get("leaderWorkerPattern"):
            return "LeaderWorkerSet"
        return "Components" if self.spec.get("customComponentsPattern") else "PodTemplate"


def read(rbg: Obj) -> list[Role]:
    """The roles of a group.

    Raises:
        RoleError: a workload type that the controller does not know.
    """
    return [Role.of(rbg, spec) for spec in rbg["spec"].get("roles") or []]


def _workload(rbg: Obj, spec: Obj) -> str:
    text = (spec.get("annotations") or {}).get(WORKLOAD_TYPE)
    if not text and rbg["apiVersion"].endswith("/v1alpha1"):
        asked = spec.get("workload") or {}
        text = f"{asked.get('apiVersion') or 'apps/v1'}/{asked.get('kind') or 'StatefulSet'}"
    text = text or "workloads.x-k8s.io/v1alpha2/RoleInstanceSet"
    if text not in KINDS:
        raise RoleError(
            f"Failed to validate role {spec['name']}, err: unsupported workload type: {text}"
        )
    return KINDS[text]


def levels(roles: list[Role]) -> list[list[Role]]:
    """The roles in dependency order.

    Raises:
        RoleError: an unknown dependency or a cycle, in the controller's words.
    """
    by_name = {role.name: role for role in roles}
    for role in roles:
        for other in role.dependencies:
            if other not in by_name:
                raise RoleError(
                    f"role [{role.name}] with dependency role [{other}] not found in rbg"
                )
    done: set[str] = set()
    order: list[list[Role]] = []
    left = list(roles)
    while left:
        level = [role for role in left if set(role.dependencies) <= done]
        if not level:
            raise RoleError(
                "failed to sort roles by dependency order: "
                f"cycle detected for role '{left[0].name}'"
            )
        order.append(level)
        done |= {role.name for role in level}
        left = [role for role in left if role.name not in done]
    return order


def components(release: Release, rbg: Obj, role: Role) -> list[Component]:
    """The pods of one instance of the role, with RBG's labels, variables and volume.

    Raises:
        RoleError: a role without any pattern or template, or with an unknown template.
    """
    meta = rbg["metadata"]
    labels = release.labels(meta["namespace"], meta["name"], role.name)
    service = release.service_name(meta["name"], role.name)
    instances = role.workload == "ris"
    spec = role.spec
    if custom := spec.get("customComponentsPattern"):
        found = []
        for part in custom.get("components") or []:
            size = part.get("size", 1)
            extra = {NEW + "component-name": part["name"], NEW + "component-size": str(size)}
            template = _template(release, rbg, role, part["template"], labels | extra)
            found.append(Component(part["name"], size, template, part.get("serviceName", service)))
        return found
    multi = spec.get("leaderWorkerPattern") or spec.get("leaderWorkerSet")
    base = _base(rbg, role)
    if not multi or (role.workload not in ("ris", "lws")):
        extra = {NEW + "component-size": "1"} if instances else {}
        template = _template(release, rbg, role, base, labels | extra)
        return [Component(role.name, 1, template, service)]
    size = multi.get("size", 1)
    found = []
    for name, old, new in (
        ("leader", "patchLeaderTemplate", "leaderTemplatePatch"),
        ("worker", "patchWorkerTemplate", "workerTemplatePatch"),
    ):
        patched = strategic_merge(base, multi.get(new) or multi.get(old) or {})
        extra = {NEW + "component-name": name, NEW + "component-size": str(size)}
        template = _template(release, rbg, role, patched, labels | (extra if instances else {}))
        if instances:
            _add_multi_node(template, service, meta["namespace"])
        found.append(
            Component(name, 1 if name == "leader" else size - 1, template,
                      service if name == "leader" else "")
        )  # fmt: skip
    if spec.get("leaderWorkerPattern", {}).get("sharedServiceSelection") == "All":
        found[1].service = service
    return found if size > 1 or not instances else found[:1]


def _base(rbg: Obj, role: Role) -> Obj:
    spec = role.spec
    holder = spec.get("standalonePattern") or spec.get("leaderWorkerPattern") or spec
    if holder.get("template"):
        return holder["template"]
    reference = holder.get("templateRef")
    if not reference:
        raise RoleError(
            f"Failed to reconcile role {role.name}: no valid pattern found for role {role.name}"
        )
    for entry in rbg["spec"].get("roleTemplates") or []:
        if entry["name"] == reference["name"]:
            patch = reference.get("patch") or spec.get("templatePatch") or {}
            return strategic_merge(entry["template"], patch)
    raise RoleError(f"template {reference['name']} not found in roleTemplates")


def _field(path: str) -> Obj:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def _label(name: str) -> Obj:
    return _field(f"metadata.labels['{name}']")


def _environment(release: Release, rbg: Obj, role: Role) -> list[Obj]:
    prefix = release.env_prefix
    index = "apps.kubernetes.io/pod-index"
    env: dict[str, Obj] = {
        "GROUP_NAME": {"value": rbg["metadata"]["name"]},
        "ROLE_NAME": {"value": role.name},
    }
    if role.workload != "deploy":
        env["ROLE_INDEX"] = _label(
            index if role.workload != "ris" else NEW + "role-instance-index"
        )
    if role.workload == "ris":
        env["COMPONENT_INDEX"] = _label(NEW + "component-id")
        env["COMPONENT_NAME"] = _label(NEW + "component-name")
        env["ROLE_INSTANCE_NAME"] = _label(NEW + "role-instance-name")
    return [{"name": prefix + name, **env[name]} for name in sorted(env)]


def _template(release: Release, rbg: Obj, role: Role, base: Obj, labels: dict[str, str]) -> Obj:
    """A pod template with what RBG adds; its variables come before the user's."""
    template = copy.deepcopy(base)
    meta = template.get("metadata") or {}
    template["metadata"] = {**meta, "labels": {**(meta.get("labels") or {}), **labels}}
    spec = template.setdefault("spec", {})
    group = rbg["metadata"]["name"]
    config = group if release.modern else release.workload_name(group, role.name)
    stateful = role.workload != "deploy"
    for container in spec.get("containers") or []:
        ours = _environment(release, rbg, role)
        names = {entry["name"] for entry in ours}
        theirs = [e for e in container.get("env") or [] if e["name"] not in names]
        container["env"] = ours + theirs
        if stateful:
            mount = {"name": "rbg-cluster-config", "mountPath": "/etc/rbg", "readOnly": True}
            mounts = container.get("volumeMounts") or []
            container["volumeMounts"] = [*mounts, mount]
    if stateful:
        volume = {"name": "rbg-cluster-config", "configMap": {
            "name": config, "items": [{"key": "config.yaml", "path": "config.yaml"}]}}  # fmt: skip
        spec["volumes"] = [*(spec.get("volumes") or []), volume]
    return template


def _add_multi_node(template: Obj, service: str, namespace: str) -> None:
    extra: list[Obj] = [
        {"name": "RBG_LWP_LEADER_ADDRESS",
         "value": f"$(RBG_ROLE_INSTANCE_NAME)-0.{service}.{namespace}"},
        {"name": "RBG_LWP_WORKER_INDEX", **_label(NEW + "component-index")},
        {"name": "RBG_LWP_GROUP_SIZE", **_label(NEW + "component-size")},
    ]  # fmt: skip
    for container in template["spec"].get("containers") or []:
        env: list[Any] = container["env"]
        at = 1 + max(i for i, entry in enumerate(env) if entry["name"] == "RBG_ROLE_NAME")
        container["env"] = [*env[:at], *extra, *env[at:]]


def stateless(role: Role) -> bool:
    """Whether the role asks for the Deployment-like kind of RoleInstanceSet."""
    return (role.spec.get("annotations") or {}).get(PATTERN) == "Stateless"
