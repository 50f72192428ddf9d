# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Fields of a role that both RBG API versions write the same way."""

from typing import Any

from charms.rbg_k8s.v0.rbg_role import UpdateType
from group import Group, Role


def role_fields(role: Role, group: Group) -> dict[str, Any]:
    """Everything but the pods, the workload and the restart policy; unsaid fields are left out."""
    spec = role.spec
    fields: dict[str, Any] = {
        "labels": dict(spec.labels),
        "annotations": dict(spec.annotations),
        "dependencies": list(dict.fromkeys(spec.start_after)),
        "servicePorts": [
            {"name": p.name, "port": p.port, "protocol": p.protocol} for p in spec.ports
        ],
        "engineRuntimes": [
            {"profileName": e.profile, **({"containers": e.containers} if e.containers else {})}
            for e in spec.engine_runtimes
        ],
        "minReadySeconds": spec.min_ready_seconds,
        "rolloutStrategy": _rollout(role),
    }
    said = {name: value for name, value in fields.items() if value}
    if role.autoscaled:
        said["scalingAdapter"] = {"enable": True}
    # A count that RBG's scaling adapter wrote is left out: RBG 0.7 takes whatever is applied until
    # the adapter puts it back, and 0.8's webhook refuses it (trap 4).
    count = {} if role.count_taken else {"replicas": role.replicas}
    return {"name": role.name, **count, **said}


def _rollout(role: Role) -> dict[str, Any]:
    said = role.spec.rollout
    fields: dict[str, Any] = {
        "type": None if said.type is UpdateType.AUTO else said.type.value,
        "maxUnavailable": said.max_unavailable,
        "maxSurge": said.max_surge,
        "partition": said.partition,
    }
    rolling = {name: value for name, value in fields.items() if value is not None}
    return {"type": "RollingUpdate", "rollingUpdate": rolling} if rolling else {}
