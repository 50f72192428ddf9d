# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Roles for RBG >=0.7: standalone, leader-worker and custom component patterns."""

from typing import Any

from capabilities import Api
from charms.rbg_k8s.v0.rbg_role import Component, RestartPolicy, Workload
from group import Group, Role
from manifests.common import role_fields
from manifests.pods import Pods, pods
from manifests.v1alpha1 import API_VERSIONS
from names import WORKLOAD_TYPE


def role(role: Role, group: Group, api: Api) -> dict[str, Any]:
    """One entry of `spec.roles`."""
    made = pods(role, group)
    body = role_fields(role, group)
    spec = role.spec
    if spec.pod_management:
        body["podManagementPolicy"] = spec.pod_management.value
    if role.workload is not Workload.ROLE_INSTANCE_SET:
        kind = f"{API_VERSIONS[role.workload]}/{role.workload.value}"
        body["annotations"] = {**body.get("annotations", {}), WORKLOAD_TYPE: kind}
    if spec.components:
        body["customComponentsPattern"] = {
            "components": [_component(c, made) for c in spec.components],
            **_restart(spec.restart_policy, api),
        }
    elif spec.multi_node:
        body["leaderWorkerPattern"] = _leader_worker(role, made, api)
    else:
        # A restart policy says nothing about a replica of one pod (RBG 0.7 has none there).
        body["standalonePattern"] = {"template": made.template}
    return body


def _leader_worker(role: Role, made: Pods, api: Api) -> dict[str, Any]:
    multi = role.spec.multi_node
    assert multi is not None
    pattern: dict[str, Any] = {
        "size": multi.size,
        "template": made.template,
        "leaderTemplatePatch": made.leader_patch,
        **_restart(multi.restart_policy, api),
    }
    if made.worker_patch:
        pattern["workerTemplatePatch"] = made.worker_patch
    if multi.service_selects:
        pattern["sharedServiceSelection"] = multi.service_selects.value
    return pattern


def _component(component: Component, made: Pods) -> dict[str, Any]:
    optional = {
        "serviceName": component.service_name,
        "labels": dict(component.labels),
        "annotations": dict(component.annotations),
    }
    return {
        "name": component.name,
        "size": component.size,
        "template": made.components[component.name],
        **{name: value for name, value in optional.items() if value},
    }


def _restart(policy: RestartPolicy | None, api: Api) -> dict[str, Any]:
    """The type as RBG >=0.7 takes it, with delays, if they are said, as 0.8.0-alpha.5 does.

    RBG folds the one into the other, but a field that changes its name rolls every role (#440).
    """
    if policy is None:
        return {}
    delays = {
        "baseDelaySeconds": policy.base_delay_seconds,
        "maxDelaySeconds": policy.max_delay_seconds,
    }
    said = {name: value for name, value in delays.items() if value is not None}
    if not said or "restart-delays" not in api.features:
        return {"restartPolicy": policy.type.value}
    return {"restartPolicyConfig": {"type": policy.type.value, **said}}
