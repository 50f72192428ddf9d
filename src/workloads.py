# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Which Kubernetes workload runs a role on the cluster, and what RBG lets it do."""

from capabilities import Api
from names import WORKLOAD_TYPE
from tree import Tree, text


def live_kind(live: Tree, version: str) -> str:
    """Kind of the workload of a role as read from the cluster.

    v1alpha1 says it in `workload` (default StatefulSet); v1alpha2 in an annotation, which RBG's
    conversion sets on roles written as v1alpha1 (default RoleInstanceSet; RBG 0.7).

    Args:
        live: an entry of `spec.roles`.
        version: API version it was read in, "v1alpha1" or "v1alpha2".
    """
    if version == "v1alpha1":
        return text(live, "workload", "kind") or "StatefulSet"
    return text(live, "annotations", WORKLOAD_TYPE).rpartition("/")[2] or "RoleInstanceSet"


def paused_by(kind: str, api: Api) -> str:
    """Field by which a rollout of this workload is paused: "paused", "partition" or "" for none.

    RBG hands `paused` to RoleInstanceSets only (0.6 to 0.8.0-alpha.5). A partition of all replicas
    stops StatefulSets and LeaderWorkerSets, but RBG 0.8's webhook refuses it.
    """
    if kind == "RoleInstanceSet":
        return "paused"
    refused = "restart-delays" in api.features  # the feature by which 0.8 is known
    stops = kind in ("StatefulSet", "LeaderWorkerSet") and "partition" in api.features
    return "partition" if stops and not refused else ""
