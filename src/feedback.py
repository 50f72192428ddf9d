# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What each role charm is told: where its role stands, and how the other roles are found."""

from collections.abc import Mapping, Sequence
from typing import Any

from capabilities import Api
from faults import Fault
from health import RoleHealth
from inputs import Inputs, RelatedRole
from names import (
    API_FEATURES,
    GROUP_LABEL,
    LEADER_LABEL,
    RBG_GROUP,
    RBG_POD_LABELS,
    ROLE_LABEL,
    child,
    service,
)
from problems import Problem
from report import Report
from tree import Tree, annotation, entries, roles_by_name
from workloads import live_kind

OWN_GROUP = "$(GROUP_NAME)"
"""What Kubernetes makes a pod's own group of, in its arguments and variables."""


def states(inputs: Inputs, report: Report, model: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Relation id → the fields of RoleState, as plain data (the schema checks them when written).

    Args:
        inputs: what Juju says.
        report: what the hook found.
        model: fields of ModelSettings.
    """
    live, version = report.live, report.version
    live_roles = roles_by_name(live)
    by_name = {h.name: h for h in report.health}
    prefixed = prefixed_services(live)
    peers = {
        r.name: _peer(inputs, r.name, live_roles.get(r.name), version, prefixed)
        for r in inputs.roles
    }
    return {
        related.relation_id: {
            "group": inputs.application,
            "namespace": inputs.namespace,
            "role": related.name,
            "endpoint": related.endpoint,
            "api_version": f"{RBG_GROUP}/{version}" if live else "",
            "host": peers[related.name]["host"],
            "ports": peers[related.name]["ports"],
            "roles": [peers[name] for name in sorted(peers) if name != related.name],
            "model": dict(model),
            **_standing(related, by_name.get(related.name), report.problems, report.fault),
        }
        for related in inputs.roles
    }


def _standing(
    related: RelatedRole,
    health: RoleHealth | None,
    problems: Sequence[Problem],
    fault: Fault | None,
) -> dict[str, Any]:
    counts = {"desired": 0, "ready": 0, "updated": 0}
    if health:
        counts = {"desired": health.desired, "ready": health.ready, "updated": health.updated}
    own = [p for p in problems if p.role == related.name and p.application == related.application]
    if own:
        return {**counts, "state": "blocked", "reason": str(own[0])}
    if fault:
        state = "blocked" if fault.blocked else "waiting"
        return {**counts, "state": state, "reason": fault.message}
    if health:
        return {**counts, "state": health.state.value, "reason": health.cause}
    return {**counts, "state": "waiting", "reason": "not applied yet"}


def _peer(
    inputs: Inputs, role: str, live: Tree | None, version: str, prefixed: bool
) -> dict[str, Any]:
    selector, group = {GROUP_LABEL: inputs.application, ROLE_LABEL: role}, inputs.application
    if inputs.groups > 1:  # every group is told the same, and finds its own
        group = OWN_GROUP
        selector[RBG_POD_LABELS[1 if version == "v1alpha1" else 0][0]] = group
    host = _service(group, role, live, version, prefixed) if live else ""
    return {
        "role": role,
        "host": f"{host}.{inputs.namespace}.svc" if host else "",
        "ports": [
            {"name": p["name"], "port": p["port"], "protocol": p["protocol"]}
            for p in entries(live, "servicePorts")
        ],
        "selector": selector,
        "leader_selector": {**selector, LEADER_LABEL: "true"},
    }


def _service(group: str, role: str, live: Tree, version: str, prefixed: bool) -> str:
    """Name of the headless Service: RBG makes one for StatefulSet and RoleInstanceSet roles."""
    kind = live_kind(live, version)
    if kind == "Deployment":
        return ""
    if kind == "LeaderWorkerSet":  # made by the LeaderWorkerSet controller
        return child(group, role)
    return service(group, role, prefixed=prefixed)


def prefixed_services(live: Tree | None) -> bool:
    """Whether RBG names headless Services `s-<group>-<role>`, as far as the group tells."""
    api = Api.parse(annotation(live, API_FEATURES))
    return api is None or api.prefixed_services
