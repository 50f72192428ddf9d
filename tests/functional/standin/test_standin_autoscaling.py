"""HorizontalPodAutoscalers on adapters, as they are on a cluster without metrics; KEDA's kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from standin_world import ADAPTER, STS, Obj, World, raw, role
from test_standin_adapters import bound, counts, healed, missing, scalable

from rig import crds
from rig.standin import ALL_TRAPS

Start = Callable[..., World]
SCALED = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
_SLOW = 40.0


def autoscale(here: World, adapter: str, least: int, most: int) -> None:
    """An HPA named as its adapter, by CPU."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    here.client.create(HorizontalPodAutoscaler.from_dict({
        "metadata": {"name": adapter, "namespace": here.namespace},
        "spec": {"minReplicas": least, "maxReplicas": most,
                 "metrics": [{"type": "Resource", "resource": cpu}],
                 "scaleTargetRef": {"apiVersion": "workloads.x-k8s.io/v1alpha2",
                                    "kind": "RoleBasedGroupScalingAdapter", "name": adapter}},
    }))  # fmt: skip


def conditions(here: World, name: str) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition of an HPA."""
    found = here.status(HorizontalPodAutoscaler, name)["conditions"] or []
    return {c["type"]: (c["status"], c["reason"]) for c in found}


def told(here: World, name: str, *reasons: str) -> None:
    """Waits for events."""
    here.until(
        lambda: set(reasons) <= set(here.events(name)), f"{reasons} of {name}", within=_SLOW
    )


def test_the_bounds_are_kept_without_metrics(world: Start) -> None:
    here = world()
    here.apply("g", scalable("engine", 1))
    here.ready("g")
    healed(here, "g-engine")
    autoscale(here, "g-engine", 3, 3)
    here.until(lambda: counts(here, "g") == {"engine": 3}, within=_SLOW)
    here.until(lambda: len(here.images()) == 3)
    wanted = {"AbleToScale": ("True", "SucceededGetScale"),
              "ScalingActive": ("False", "FailedGetResourceMetric")}  # fmt: skip
    here.until(lambda: conditions(here, "g-engine") == wanted, within=_SLOW)
    told(here, "g-engine", "SuccessfulRescale", "FailedGetResourceMetric")
    text = "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
    assert here.events("g-engine")["SuccessfulRescale"] == text
    owners = {
        (entry["manager"], entry.get("subresource"))
        for entry in here.get(ADAPTER, "g-engine")["metadata"]["managedFields"]
    }
    assert ("kube-controller-manager", "scale") in owners
    # More than the most is too much.
    patch: Obj = {"spec": {"minReplicas": 1, "maxReplicas": 2}}
    here.client.patch(HorizontalPodAutoscaler, "g-engine", patch, namespace=here.namespace)
    here.until(lambda: counts(here, "g") == {"engine": 2}, within=_SLOW)


def test_4_an_autoscaler_without_a_selector(world: Start) -> None:
    here = world()
    here.apply("g", scalable("web", 1, kind=STS))
    bound(here, "g-web")
    autoscale(here, "g-web", 2, 4)
    here.until(lambda: counts(here, "g") == {"web": 2}, within=_SLOW)
    wanted = ("False", "InvalidSelector")
    here.until(lambda: conditions(here, "g-web").get("ScalingActive") == wanted, within=_SLOW)
    told(here, "g-web", "SelectorRequired", "FailedComputeMetricsReplicas")
    assert here.events("g-web")["SelectorRequired"] == "selector is required"


def test_4_an_autoscaler_on_leaders_read_too_early(world: Start) -> None:
    """Not even the bounds are kept, until the adapter is deleted."""
    here = world(ALL_TRAPS)
    here.apply("g", scalable("multi", 1, size=2))
    assert missing(bound(here, "g-multi"))
    autoscale(here, "g-multi", 2, 2)
    wanted = {"AbleToScale": ("False", "FailedGetScale")}
    here.until(lambda: conditions(here, "g-multi") == wanted, within=_SLOW)
    told(here, "g-multi", "FailedGetScale")
    assert counts(here, "g") == {"multi": 1}
    here.ready("g")
    healed(here, "g-multi")
    here.until(lambda: counts(here, "g") == {"multi": 2}, within=_SLOW)


def test_nothing_is_scaled_from_zero(world: Start) -> None:
    here = world()
    here.apply("g", scalable("engine", 1))
    here.ready("g")
    bound(here, "g-engine")
    here.scale(ADAPTER, "g-engine", 0)
    here.until(lambda: counts(here, "g") == {"engine": 0})
    autoscale(here, "g-engine", 1, 3)
    wanted = ("False", "ScalingDisabled")
    here.until(lambda: conditions(here, "g-engine").get("ScalingActive") == wanted, within=_SLOW)
    assert counts(here, "g") == {"engine": 0}


@pytest.fixture
def keda(cluster: Any) -> None:
    """The definition of ScaledObjects."""
    cluster.install_crds(crds.load(crds.KEDA))


@pytest.mark.usefixtures("keda")
def test_a_scaled_object_is_stored(world: Start) -> None:
    here = world()
    spec: Obj = {
        "scaleTargetRef": {"apiVersion": "workloads.x-k8s.io/v1alpha2",
                           "kind": "RoleBasedGroupScalingAdapter", "name": "g-engine"},
        "minReplicaCount": 1, "maxReplicaCount": 4, "cooldownPeriod": 30,
        "triggers": [{"type": "prometheus", "metadata": {"query": "up", "threshold": "5"},
                      "authenticationRef": {"name": "a"}}],
    }  # fmt: skip
    body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"name": "g-engine", "namespace": here.namespace}}  # fmt: skip
    here.client.apply(SCALED.from_dict({**body, "spec": spec}), field_manager="test")
    assert here.get(SCALED, "g-engine")["spec"] == spec
    assert list(here.all(SCALED)) == ["g-engine"]
    here.client.delete(SCALED, "g-engine", namespace=here.namespace)
    assert here.all(SCALED) == {}


@pytest.mark.control_plane_only
@pytest.mark.usefixtures("keda")
@pytest.mark.parametrize("left_out", ["scaleTargetRef", "triggers"])
def test_a_scaled_object_needs(world: Start, left_out: str) -> None:
    here = world()
    spec: Obj = {"scaleTargetRef": {"name": "x"}, "triggers": [{"type": "cpu", "metadata": {}}]}
    del spec[left_out]
    body = SCALED.from_dict({"metadata": {"name": "x", "namespace": here.namespace}, "spec": spec})
    with pytest.raises(ApiError) as error:
        here.client.create(body)
    assert error.value.status.code == 422
    assert f"spec.{left_out}: Required value" in (error.value.status.message or "")


def test_a_coordinated_policy_is_stored(world: Start) -> None:
    """The stand-in does not read it."""
    here = world()
    kind = create_namespaced_resource(
        "workloads.x-k8s.io", "v1alpha2", "CoordinatedPolicy", "coordinatedpolicies"
    )
    spec = {"policies": [{"name": "pd", "roles": ["a", "b"], "strategy": {
        "scaling": {"maxSkew": "20%", "progression": "OrderReady"}}}]}  # fmt: skip
    made = here.client.apply(kind.from_dict({
        "apiVersion": "workloads.x-k8s.io/v1alpha2", "kind": "CoordinatedPolicy",
        "metadata": {"name": "g", "namespace": here.namespace}, "spec": spec,
    }), field_manager="test")  # fmt: skip
    assert raw(made)["spec"] == spec
    here.apply("g", role("a", 1), role("b", 1))
    here.ready("g")
