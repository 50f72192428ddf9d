# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Roles whose count an autoscaler owns: HorizontalPodAutoscaler or KEDA ScaledObject, on RBG's
scaling adapter of the role; and roles that grow in step (CoordinatedPolicy, RBG >=0.7).

A count held by an action is held through them: both bounds at the count, or KEDA's pause. So it
stays, while the autoscaler goes on owning the role's replicas.
"""

from typing import Any

from capabilities import Api
from group import Group, Role
from names import APPLICATION_LABEL, AUTOSCALERS, GROUP_LABEL, RBG_GROUP, child, pod_labels
from scaling import PRESETS, Metric, is_trigger, query
from tree import leaf, text

HPA, KEDA = AUTOSCALERS
_PAUSED = "autoscaling.keda.sh/paused-replicas"


def render(group: Group, api: Api) -> list[dict[str, Any]]:
    """The autoscaler of each role that has one, by role name."""
    make = _scaled_object if group.autoscaling.keda else _hpa
    return [make(role, group, api) for role in group.roles if role.autoscaled]


def policy(group: Group, api: Api) -> list[dict[str, Any]]:
    """The CoordinatedPolicy, once all roles that are to grow in step are there.

    RBG reads it by the group's own name only (trap 5).
    """
    together = group.autoscaling.together
    if not together or api.version == "v1alpha1" or not {*together}.issubset(group.names):
        return []
    scaling = {"maxSkew": group.autoscaling.skew, "progression": "OrderScheduled"}
    rule = {"name": "scaling", "roles": list(together), "strategy": {"scaling": scaling}}
    labels = {APPLICATION_LABEL: group.name, GROUP_LABEL: group.name}
    metadata = {"name": group.name, "namespace": group.namespace, "labels": labels}
    kind = {"apiVersion": f"{RBG_GROUP}/v1alpha2", "kind": "CoordinatedPolicy"}
    return [{**kind, "metadata": metadata, "spec": {"policies": [rule]}}]


def _hpa(role: Role, group: Group, api: Api) -> dict[str, Any]:
    scaling = role.spec.scaling
    assert scaling is not None
    held = group.holds.replicas.get(role.name)
    spec: dict[str, Any] = {
        "scaleTargetRef": _target(role, group, api),
        "minReplicas": scaling.min if held is None else held,
        "maxReplicas": scaling.max if held is None else held,
    }
    if scaling.metrics:
        spec["metrics"] = [_metric(m) for m in scaling.metrics]
    if scaling.behaviour:
        spec["behavior"] = dict(scaling.behaviour)
    metadata = _metadata(group, role.name)
    return {"apiVersion": "autoscaling/v2", "kind": HPA, "metadata": metadata, "spec": spec}


def _metric(metric: Metric) -> Metric:
    if "preset" not in metric:
        return metric
    target = {"type": "AverageValue", "averageValue": str(metric["target"])}
    return {
        "type": "Pods",
        "pods": {"metric": {"name": PRESETS[metric["preset"]]}, "target": target},
    }


def _scaled_object(role: Role, group: Group, api: Api) -> dict[str, Any]:
    scaling = role.spec.scaling
    assert scaling is not None
    metadata = _metadata(group, role.name)
    held = group.holds.replicas.get(role.name)
    if held is not None:
        metadata["annotations"] = {_PAUSED: str(held)}
    spec: dict[str, Any] = {
        "scaleTargetRef": _target(role, group, api),
        "minReplicaCount": scaling.min,
        "maxReplicaCount": scaling.max,
        "triggers": [_trigger(m, role, group) for m in scaling.metrics],
    }
    if scaling.behaviour:
        config = {"behavior": dict(scaling.behaviour)}
        spec["advanced"] = {"horizontalPodAutoscalerConfig": config}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": KEDA, "metadata": metadata, "spec": spec}


def _trigger(metric: Metric, role: Role, group: Group) -> dict[str, Any]:
    if is_trigger(metric):
        return metric
    if "preset" not in metric:
        share = str(leaf(metric, "resource", "target", "averageUtilization"))
        kind = text(metric, "resource", "name")
        return {"type": kind, "metricType": "Utilization", "metadata": {"value": share}}
    series, workload = PRESETS[metric["preset"]], child(group.name, role.name)
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": group.autoscaling.prometheus,
            "query": query(series, group.namespace, workload),
            "threshold": str(metric["target"]),
        },
    }


def _target(role: Role, group: Group, api: Api) -> dict[str, str]:
    """RBG's scaling adapter of the role: the group itself has no scale subresource."""
    return {
        "apiVersion": f"{RBG_GROUP}/{api.version}",
        "kind": "RoleBasedGroupScalingAdapter",
        "name": child(group.name, role.name),
    }


def _metadata(group: Group, role: str) -> dict[str, Any]:
    return {
        "name": child(group.name, role),
        "namespace": group.namespace,
        "labels": {APPLICATION_LABEL: group.name, **pod_labels(group.name, role)},
    }
