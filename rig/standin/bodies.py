"""The child objects of a role, as the recordings show them."""

from __future__ import annotations

from typing import Any

import yaml

from rig.standin import names
from rig.standin.names import NEW, PATTERN, WORKLOAD_TYPE, Obj, Release
from rig.standin.roles import KINDS, Component, Role, components, stateless

_TYPES = {short: text for text, short in KINDS.items()}


def _meta(release: Release, rbg: Obj, role: Role, name: str) -> Obj:
    meta = rbg["metadata"]
    labels = release.labels(meta["namespace"], meta["name"], role.name)
    theirs = dict(role.spec.get("annotations") or {})
    kind = theirs.pop(WORKLOAD_TYPE, None)
    annotations = {**theirs, release.prefix + "role-size": str(role.replicas)}
    if release.modern and role.workload == "ris":
        annotations[PATTERN] = "Stateless" if stateless(role) else "Stateful"
        labels[NEW + "role-type"] = role.pattern
    elif release.modern:
        annotations[WORKLOAD_TYPE] = kind or _TYPES[role.workload]
    if release.modern:
        # Without replicas: scaling is no new revision of a role.
        shape = {k: v for k, v in role.spec.items() if k != "replicas"}
        labels[NEW + f"role-revision-{role.name}"] = names.digest(shape)
    labels |= role.spec.get("labels") or {}
    return {
        "name": name, "namespace": meta["namespace"], "labels": labels,
        "annotations": annotations, "ownerReferences": names.owner(rbg),
    }  # fmt: skip


def workload(release: Release, rbg: Obj, role: Role) -> Obj:
    """The workload object of a role, to be applied.

    Raises:
        RoleError: a role without a usable template.
    """
    parts = components(release, rbg, role)
    group = rbg["metadata"]["name"]
    meta = _meta(release, rbg, role, release.workload_name(group, role.name))
    selector = release.labels(meta["namespace"], group, role.name)
    build = {"ris": _instance_set, "sts": _stateful_set, "deploy": _deployment, "lws": _lws}
    spec = build[role.workload](release, rbg, role, parts)
    if role.workload != "lws":
        spec["selector"] = {"matchLabels": selector}
    return {"metadata": meta, "spec": spec}


def _instance_set(release: Release, rbg: Obj, role: Role, parts: list[Component]) -> Obj:
    rollout = role.rollout
    pattern = (
        role.spec.get("leaderWorkerPattern") or role.spec.get("customComponentsPattern") or {}
    )
    restart = pattern.get("restartPolicyConfig") or {}
    default = "None" if role.pattern == "PodTemplate" else "RecreateRoleInstanceOnPodRestart"
    kind = restart.get("type") or pattern.get("restartPolicy") or default
    template: Obj = {
        "components": [
            {"name": part.name, "size": part.size, "template": part.template,
             **({"serviceName": part.service} if part.service else {})}
            for part in parts
        ],
    }  # fmt: skip
    if release.name == "v0.8":
        template["restartPolicyConfig"] = {
            "type": kind, "baseDelaySeconds": restart.get("baseDelaySeconds", 30),
            "maxDelaySeconds": restart.get("maxDelaySeconds", 600),
        }  # fmt: skip
    else:
        template["restartPolicy"] = kind
    return {
        "replicas": role.replicas, "revisionHistoryLimit": 10,
        "minReadySeconds": role.spec.get("minReadySeconds", 0),
        "podManagementPolicy": role.spec.get("podManagementPolicy") or "Parallel",
        "roleInstanceTemplate": template,
        "updateStrategy": {
            "type": rollout.get("type") or "InPlaceIfPossible",
            "maxSurge": rollout.get("maxSurge", 0),
            "maxUnavailable": rollout.get("maxUnavailable", 1),
            "partition": rollout.get("partition", 0), "paused": rollout.get("paused", False),
        },
    }  # fmt: skip


def _stateful_set(release: Release, rbg: Obj, role: Role, parts: list[Component]) -> Obj:
    return {
        "replicas": role.replicas, "podManagementPolicy": "Parallel",
        "serviceName": parts[0].service, "template": parts[0].template,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
            "partition": names.scaled(role.rollout.get("partition"), role.replicas, up=True)}},
    }  # fmt: skip


def _deployment(release: Release, rbg: Obj, role: Role, parts: list[Component]) -> Obj:
    return {"replicas": role.replicas, "template": parts[0].template}


def _lws(release: Release, rbg: Obj, role: Role, parts: list[Component]) -> Obj:
    multi = role.spec.get("leaderWorkerPattern") or role.spec.get("leaderWorkerSet") or {}
    recreate = role.spec.get("restartPolicy", multi.get("restartPolicy")) != "None"
    return {
        "replicas": role.replicas, "startupPolicy": "LeaderCreated",
        "leaderWorkerTemplate": {
            "size": multi.get("size", 1),
            "restartPolicy": "RecreateGroupOnPodRestart" if recreate else "None",
            "leaderTemplate": parts[0].template, "workerTemplate": parts[-1].template,
        },
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": {
            "maxUnavailable": role.rollout.get("maxUnavailable", 1),
            "maxSurge": role.rollout.get("maxSurge", 0),
            "partition": names.scaled(role.rollout.get("partition"), role.replicas, up=True)}},
    }  # fmt: skip


def service(release: Release, rbg: Obj, role: Role, workload: Obj) -> Obj | None:
    """The headless Service of a role; Deployments and LeaderWorkerSets get none."""
    if role.workload not in ("ris", "sts"):
        return None
    meta = rbg["metadata"]
    selector: dict[str, Any] = release.selector(meta["name"], role.name)
    multi = role.spec.get("leaderWorkerPattern") or {}
    if role.workload == "ris" and multi and multi.get("sharedServiceSelection") != "All":
        selector[NEW + "component-name"] = "leader"
    return {
        "metadata": {
            "name": release.service_name(meta["name"], role.name),
            "namespace": meta["namespace"],
            "labels": release.labels(meta["namespace"], meta["name"], role.name),
            "annotations": {release.prefix + "role-size": str(role.replicas)},
            "ownerReferences": names.owner(workload, controller=False),
        },
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector},
    }  # fmt: skip


def config_maps(release: Release, rbg: Obj, roles: list[Role]) -> list[Obj]:
    """The discovery file: one ConfigMap for the group, before 0.7 one for each role."""
    meta = rbg["metadata"]
    group = meta["name"]
    found: Obj = {}
    for role in roles:
        if role.workload == "deploy":
            continue
        host = role.name if release.early else release.workload_name(group, role.name)
        where = release.service_name(group, role.name)
        addresses = [{"address": f"{host}-{i}.{where}"} for i in range(role.replicas)]
        for address in addresses:
            ports = _ports(role)
            if ports:
                address["ports"] = ports  # type: ignore[assignment]
        found[role.name] = {"instances": addresses, "size": role.replicas}
    listed = [role.name for role in roles]
    text = yaml.safe_dump({
        "group": {"name": group, "roles": listed, "size": len(listed)}, "roles": found,
    })  # fmt: skip
    called = [group] if release.modern else [release.workload_name(group, n) for n in listed]
    return [
        {
            "metadata": {"name": name, "namespace": meta["namespace"],
                         "ownerReferences": names.owner(rbg)},
            "data": {"config.yaml": text},
        }
        for name in called
    ]  # fmt: skip


def _ports(role: Role) -> dict[str, int]:
    ports = {}
    for port in role.spec.get("servicePorts") or []:
        key = (port.get("name") or f"port{port['port']}").lower().replace("-", "_")
        ports[key] = port["port"]
    return ports
