# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What roles may be scaled by, ready-made metrics of SGLang and vLLM among it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from capabilities import SINCE, Api
from charms.rbg_k8s.v0.rbg_role import Workload
from config import Autoscaling
from tree import number, text

if TYPE_CHECKING:
    from group import Role

Metric = dict[str, Any]
_Found = Iterator[tuple[str, str]]
_RESOURCES = ("cpu", "memory")

PRESETS = {
    "sglang-queue": "sglang:num_queue_reqs",
    "sglang-token-usage": "sglang:token_usage",
    "vllm-queue": "vllm:num_requests_waiting",
    "vllm-token-usage": "vllm:kv_cache_usage_perc",
}
"""Preset → series that each serving pod exports: requests waiting, or share of the KV cache used
(0 to 1)."""


def query(series: str, namespace: str, workload: str) -> str:
    """PromQL whose value, divided by the replicas, is what the target is compared with.

    Args:
        series: a value of PRESETS.
        namespace: of the pods.
        workload: the beginning of the pods' names, `<group>-<role>`.
    """
    return f'sum({series}{{namespace="{namespace}",pod=~"{workload}-.+"}})'


def faults(role: "Role", api: Api, by: Autoscaling) -> _Found:
    """What keeps a role from being autoscaled as it asks, as (field, reason)."""
    scaling, keda = role.spec.scaling, by.keda
    if scaling is None or not role.autoscaled:
        return
    yield from _adapter(role, api)
    if scaling.min == 0 and not keda:
        yield "scaling.min", "0 needs autoscaler=keda; choose at least 1"
    if keda and not scaling.metrics:
        yield "scaling.metrics", "must name what to scale by: KEDA has no default"
    for metric in scaling.metrics:
        for reason in _fault(metric, by):
            yield "scaling.metrics", reason


def _adapter(role: "Role", api: Api) -> _Found:
    """No autoscaler can count pods without the adapter's selector, which RBG leaves empty.

    RBG reads a field that only RoleInstanceSets have (0.6 to 0.8.0-alpha.5; of LeaderWorkerSets it
    was empty on 0.8 too, trap 4).
    """
    kind = role.workload.value
    if "scaling-adapter" not in api.features:
        yield "scaling", f"needs RBG {SINCE['scaling-adapter']} or later"
    elif role.workload is not Workload.ROLE_INSTANCE_SET:
        single = role.workload is not Workload.LEADER_WORKER_SET
        if not (single and api.version == "v1alpha1" and "role-templates" not in api.features):
            yield "scaling", f"RBG gives a {kind} no selector to count its pods by; leave it out"


def _fault(metric: Metric, by: Autoscaling) -> Iterator[str]:
    preset = metric.get("preset")
    if preset is not None:
        if preset not in PRESETS:
            yield f"no preset {preset!r}; there are {', '.join(PRESETS)}"
        elif not _is_quantity(metric.get("target")):
            yield f"preset {preset} needs a target, a number for each replica"
        elif by.keda and not by.prometheus:
            yield f"preset {preset} needs config prometheus-url"
    elif is_trigger(metric) and not by.keda:
        yield "a KEDA trigger needs autoscaler=keda"
    elif by.keda and not (is_trigger(metric) or _is_resource(metric)):
        yield "KEDA takes presets, cpu and memory utilization, and triggers of its own"


def _is_quantity(target: Any) -> bool:
    try:
        return float(target) > 0
    except (TypeError, ValueError):
        return False


def is_trigger(metric: Metric) -> bool:
    """Whether it is a trigger in KEDA's own words."""
    return isinstance(metric.get("metadata"), dict) and bool(text(metric, "type"))


def _is_resource(metric: Metric) -> bool:
    known = text(metric, "resource", "name") in _RESOURCES
    return known and bool(number(metric, "resource", "target", "averageUtilization"))
