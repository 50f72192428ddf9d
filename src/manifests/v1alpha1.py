# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Roles for RBG 0.3 to 0.6: StatefulSet, Deployment and LeaderWorkerSet workloads."""

from typing import Any

from capabilities import Api
from charms.rbg_k8s.v0.rbg_role import Workload
from group import Group, Role
from manifests.common import role_fields
from manifests.pods import pods

API_VERSIONS = {
    Workload.STATEFUL_SET: "apps/v1",
    Workload.DEPLOYMENT: "apps/v1",
    Workload.LEADER_WORKER_SET: "leaderworkerset.x-k8s.io/v1",
}


def role(role: Role, group: Group, _: Api) -> dict[str, Any]:
    """One entry of `spec.roles`."""
    made = pods(role, group)
    body = role_fields(role, group)
    body["workload"] = {"apiVersion": API_VERSIONS[role.workload], "kind": role.workload.value}
    # Required beside leaderWorkerSet too: the schema's up to 0.5, a CEL rule's in 0.6.
    body["template"] = made.template
    multi = role.spec.multi_node
    if multi:
        body["leaderWorkerSet"] = {
            "size": multi.size,
            "patchLeaderTemplate": made.leader_patch,
            "patchWorkerTemplate": made.worker_patch,
        }
    restart = multi.restart_policy if multi else role.spec.restart_policy
    if restart:
        body["restartPolicy"] = restart.type.value
    return body
