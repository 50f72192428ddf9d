# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Roles whose count an autoscaler owns: HPA, KEDA, and counts held through them."""

import dataclasses

import pytest
from ops import testing

from tests.unit.actions.acting import act, again, holds, refusal
from tests.unit.stub import CRD, GROUPS, PODS, crd
from tests.unit.test_charm import decoder, engine, pods_of, settle, state

HPAS = "/apis/autoscaling/v2/namespaces/ml/horizontalpodautoscalers"
SCALED = "/apis/keda.sh/v1alpha1/namespaces/ml/scaledobjects"
ADAPTERS = "/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml/rolebasedgroupscalingadapters"
ADAPTER = f"{ADAPTERS}/llama-engine"
QUEUE = {"preset": "sglang-queue", "target": 10}
SCALING = {"min": 1, "max": 8, "metrics": [QUEUE]}
KEDA = {"autoscaler": "keda", "prometheus-url": "http://prometheus:9090"}


@pytest.fixture(autouse=True)
def adapters(api):
    api.objects[CRD] = crd("v1alpha2", "scalingAdapter")
    api.lists[ADAPTERS] = []


def scaled(**scaling):
    return engine(scaling={**SCALING, **scaling})


def configured(given, **config):
    return dataclasses.replace(given, config=config)


def bind(api, selector="a=b"):
    """RBG's adapter of the engine, as it is once it has bound."""
    api.lists[ADAPTERS] = [
        {
            "metadata": {"name": "llama-engine"},
            "spec": {"replicas": 2, "scaleTargetRef": {"name": "llama", "role": "engine"}},
            "status": {"phase": "Bound", "selector": selector},
        }
    ]


def scale_by_adapter(api, replicas):
    """RBG's adapter writes a count: it owns the field from then on."""
    api.roles["engine"]["replicas"] = replicas
    fields = {"f:spec": {"f:roles": {'k:{"name":"engine"}': {"f:replicas": {}}}}}
    entry = {"manager": "rolebasedgroupscalingadapter", "fieldsV1": fields}
    api.group["metadata"]["managedFields"].append(entry)
    api.lists[PODS] = pods_of(api)


def test_an_adapter_and_an_hpa(ctx, api):
    settle(ctx, api, state(scaled(behaviour={"scaleDown": {"stabilizationWindowSeconds": 60}})))
    assert api.roles["engine"]["scalingAdapter"] == {"enable": True}
    assert api.roles["engine"]["replicas"] == 2
    hpa = api.objects[f"{HPAS}/llama-engine"]
    assert hpa["metadata"]["ownerReferences"][0]["uid"] == "owner-uid"
    assert hpa["spec"] == {
        "scaleTargetRef": {
            "apiVersion": "workloads.x-k8s.io/v1alpha2",
            "kind": "RoleBasedGroupScalingAdapter",
            "name": "llama-engine",
        },
        "minReplicas": 1,
        "maxReplicas": 8,
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "sglang:num_queue_reqs"},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
    }


def test_a_scaled_object_of_keda(ctx, api):
    cpu = {"type": "Utilization", "averageUtilization": 70}
    own = {"type": "cron", "metadata": {"timezone": "UTC"}}
    metrics = [QUEUE, {"type": "Resource", "resource": {"name": "cpu", "target": cpu}}, own]
    settle(ctx, api, configured(state(scaled(min=0, metrics=metrics)), **KEDA))
    query = 'sum(sglang:num_queue_reqs{namespace="ml",pod=~"llama-engine-.+"})'
    asked = {"serverAddress": "http://prometheus:9090", "query": query, "threshold": "10"}
    assert api.objects[f"{SCALED}/llama-engine"]["spec"] == {
        "scaleTargetRef": {
            "apiVersion": "workloads.x-k8s.io/v1alpha2",
            "kind": "RoleBasedGroupScalingAdapter",
            "name": "llama-engine",
        },
        "minReplicaCount": 0,
        "maxReplicaCount": 8,
        "triggers": [
            {"type": "prometheus", "metadata": asked},
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}},
            own,
        ],
    }


def test_none_leaves_the_count_to_the_role_charm(ctx, api):
    settle(ctx, api, configured(state(scaled()), autoscaler="none"))
    assert "scalingAdapter" not in api.roles["engine"]
    assert not [path for path in api.objects if path.startswith(HPAS)]


@pytest.mark.parametrize(("replicas", "start"), [(0, 1), (3, 3), (20, 8)])
def test_a_new_role_starts_within_its_bounds(ctx, api, replicas, start):
    ctx.run(ctx.on.config_changed(), state(engine(replicas=replicas, scaling=SCALING)))
    assert api.roles["engine"]["replicas"] == start


def test_a_count_that_the_adapter_wrote_is_never_written_again(ctx, api):
    """RBG 0.8's webhook would refuse it; 0.7 would take pods away until the adapter is back."""
    out = settle(ctx, api, state(scaled()))
    scale_by_adapter(api, 5)
    api.requests.clear()
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("engine 5/5")
    assert not api.calls("PATCH")
    given = again(out, scaled(), decoder())
    out = ctx.run(ctx.on.relation_changed(given.get_relation(12)), given)
    assert "replicas" not in api.roles["engine"]
    assert api.roles["decoder"]["replicas"] == 1


def test_the_naive_charm_writes_the_role_charms_count(ctx, api):
    """What the rule above is for: without it the count goes back to what the role charm says."""
    out = settle(ctx, api, state(engine()))
    api.roles["engine"]["replicas"] = 5
    given = again(out, engine(), decoder())
    ctx.run(ctx.on.relation_changed(given.get_relation(12)), given)
    assert api.roles["engine"]["replicas"] == 2


def test_scaling_that_ends_gives_the_count_back(ctx, api):
    out = settle(ctx, api, state(scaled()))
    scale_by_adapter(api, 5)
    given = again(out, engine())
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert api.roles["engine"]["replicas"] == 2
    assert "scalingAdapter" not in api.roles["engine"]
    assert f"DELETE {HPAS}/llama-engine" in api.calls("DELETE")


def test_from_hpa_to_keda_the_old_one_goes_first(ctx, api):
    """KEDA refuses a role that a HorizontalPodAutoscaler still scales."""
    out = settle(ctx, api, state(scaled()))
    api.requests.clear()
    ctx.run(ctx.on.config_changed(), configured(again(out, scaled()), **KEDA))
    changed = [r.partition("?")[0] for r in api.requests if not r.startswith("GET")]
    assert changed == [
        f"PATCH {api.group_path}",
        f"DELETE {HPAS}/llama-engine",
        f"PATCH {SCALED}/llama-engine",
    ]


def test_an_unchanged_autoscaler_is_not_applied_again(ctx, api):
    out = settle(ctx, api, state(scaled()))
    api.requests.clear()
    given = again(out, scaled(), decoder())
    ctx.run(ctx.on.relation_changed(given.get_relation(12)), given)
    assert [r.partition("?")[0] for r in api.calls("PATCH")] == [f"PATCH {api.group_path}"]


def test_a_role_held_back_keeps_its_autoscaler(ctx, api):
    out = settle(ctx, api, state(scaled()))
    given = again(out, scaled(metrics=[{"preset": "x", "target": 1}]), decoder())
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert not api.calls("DELETE")
    assert list(api.roles) == ["decoder", "engine"]
    given = again(out, scaled(), decoder())
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert not api.calls("DELETE")


def problem(ctx, relation, **config):
    out = ctx.run(ctx.on.config_changed(), configured(state(relation), **config))
    assert isinstance(out.unit_status, testing.BlockedStatus)
    return out.unit_status.message


@pytest.mark.parametrize(
    ("said", "config", "message"),
    [
        ({"min": 0}, {}, "scaling.min: 0 needs autoscaler=keda; choose at least 1"),
        (
            {"metrics": [{"preset": "x", "target": 1}]},
            {},
            "scaling.metrics: no preset 'x'; there are sglang-queue, sglang-token-usage, "
            "vllm-queue, vllm-token-usage",
        ),
        (
            {"metrics": [{"preset": "vllm-queue", "target": "many"}]},
            {},
            "scaling.metrics: preset vllm-queue needs a target, a number for each replica",
        ),
        (
            {"metrics": [{"type": "cron", "metadata": {}}]},
            {},
            "scaling.metrics: a KEDA trigger needs autoscaler=keda",
        ),
        (
            {},
            {"autoscaler": "keda"},
            "scaling.metrics: preset sglang-queue needs config prometheus-url",
        ),
        (
            {"metrics": []},
            KEDA,
            "scaling.metrics: must name what to scale by: KEDA has no default",
        ),
        (
            {"metrics": [{"type": "Pods", "pods": {}}]},
            KEDA,
            "scaling.metrics: KEDA takes presets, cpu and memory utilization, "
            "and triggers of its own",
        ),
    ],
)
def test_what_cannot_be_scaled_by(ctx, api, said, config, message):
    assert problem(ctx, scaled(**said), **config) == f"prefill (role engine): {message}"


@pytest.mark.parametrize("workload", ["StatefulSet", "Deployment", "LeaderWorkerSet"])
def test_workloads_without_a_selector(ctx, api, workload):
    multi = {"multi_node": {"size": 2}} if workload == "LeaderWorkerSet" else {}
    message = problem(ctx, engine(scaling=SCALING, workload=workload, **multi))
    reason = f"RBG gives a {workload} no selector to count its pods by; leave it out"
    assert message == f"prefill (role engine): scaling: {reason}"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "scaling: needs RBG 0.4 or later"),
        (
            ["scalingAdapter", "templateRef"],
            "scaling: RBG gives a StatefulSet no selector to count its pods by; leave it out",
        ),
        (["scalingAdapter"], ""),
    ],
)
def test_old_releases(ctx, api, features, message):
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1", *features)
    out = ctx.run(ctx.on.config_changed(), state(scaled()))
    said = out.unit_status.message
    assert said == f"prefill (role engine): {message}" if message else "engine 0/2" in said


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"autoscaler": "vpa"},
            "llama: config autoscaler: Input should be 'hpa', 'keda' or 'none'",
        ),
        (
            {"scale-together": "engine"},
            "llama: config scale-together: must be <role>,<role>[:<percent>], "
            "e.g. engine,decoder:20%",
        ),
    ],
)
def test_bad_options(ctx, api, config, message):
    assert problem(ctx, scaled(), **config) == message


def test_a_metric_that_the_api_server_refuses(ctx, api):
    invalid = {"code": 422, "message": "spec.metrics[0].type: Required value"}
    api.answers["PATCH", HPAS] = (422, invalid)
    out = settle(ctx, api, state(scaled(metrics=[{"type": "Pods"}])))
    message = "prefill (role engine): scaling: spec.metrics[0].type: Required value"
    assert out.unit_status == testing.BlockedStatus(message)
    del api.answers["PATCH", HPAS]
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("engine 2/2")


def test_keda_is_not_installed(ctx, api):
    api.answers["PATCH", SCALED] = (404, "the server could not find the requested resource")
    message = problem(ctx, scaled(), **KEDA)
    assert message == (
        "config autoscaler: KEDA is not installed; install it or set autoscaler=hpa"
    )


# --- RBG's adapter without a selector (trap 4) -------------------------------------------------


@pytest.mark.parametrize("selector", ["", ",rbg.workloads.x-k8s.io/component-index=0"])
def test_an_adapter_that_bound_too_early_is_made_anew(ctx, api, selector):
    out = settle(ctx, api, state(scaled()))
    bind(api, selector=selector)
    out = ctx.run(ctx.on.update_status(), out)
    assert api.calls("DELETE") == [f"DELETE {ADAPTER}"]
    bind(api)
    out = ctx.run(ctx.on.update_status(), out)
    assert len(api.calls("DELETE")) == 1


def test_an_adapter_that_works_is_not_asked_for_again(ctx, api):
    out = settle(ctx, api, state(scaled()))
    bind(api)
    out = ctx.run(ctx.on.update_status(), out)
    api.requests.clear()
    ctx.run(ctx.on.update_status(), out)
    assert len(api.requests) == 2


# --- holding -----------------------------------------------------------------------------------


def test_a_held_count_goes_through_the_autoscaler(ctx, api):
    out = settle(ctx, api, state(scaled()))
    api.objects[ADAPTER] = {"metadata": {"generation": 1}}
    results, out = act(ctx, "scale", out, role="engine", replicas=4)
    assert (results["replicas"], results["held"]) == ("4", "true")
    bounds = api.objects[f"{HPAS}/llama-engine"]["spec"]
    assert (bounds["minReplicas"], bounds["maxReplicas"]) == (4, 4)
    assert api.objects[ADAPTER]["spec"] == {"replicas": 4}
    assert api.roles["engine"]["replicas"] == 2  # RBG's adapter writes it, not the charm
    _, out = act(ctx, "scale", out, role="engine", release=True)
    bounds = api.objects[f"{HPAS}/llama-engine"]["spec"]
    assert (bounds["minReplicas"], bounds["maxReplicas"]) == (1, 8)
    assert holds(out) == {}


def test_keda_is_paused_at_a_held_count(ctx, api):
    out = settle(ctx, api, configured(state(scaled(min=0)), **KEDA))
    _, out = act(ctx, "scale", out, role="engine", replicas=0)
    annotations = api.objects[f"{SCALED}/llama-engine"]["metadata"]["annotations"]
    assert annotations == {"autoscaling.keda.sh/paused-replicas": "0"}
    act(ctx, "scale", out, role="engine", release=True)
    assert "annotations" not in api.objects[f"{SCALED}/llama-engine"]["metadata"]


@pytest.mark.parametrize("replicas", [0, 9])
def test_out_of_bounds(ctx, api, replicas):
    out = settle(ctx, api, state(scaled()))
    message = refusal(ctx, "scale", out, role="engine", replicas=replicas)
    assert message == "replicas: engine is autoscaled from 1 to 8; choose a count within"
    assert holds(out) == {}


def test_scaled_to_zero_by_keda(ctx, api):
    out = settle(ctx, api, configured(state(scaled(min=0), decoder()), **KEDA))
    scale_by_adapter(api, 0)
    out = ctx.run(ctx.on.update_status(), out)
    message = "engine 0 (scaled to zero), decoder 1/1"
    assert out.unit_status == testing.ActiveStatus(message)


def test_status_detail_says_what_an_hpa_cannot_read(ctx, api):
    out = settle(ctx, api, state(scaled()))
    about = {"kind": "HorizontalPodAutoscaler", "name": "llama-engine"}
    warning = {"reason": "FailedGetPodsMetric", "message": "no metrics", "involvedObject": about}
    api.lists["/api/v1/namespaces/ml/events"] = [warning]
    results, _ = act(ctx, "status-detail", out)
    assert results["roles"]["engine"]["autoscaler"] == {
        "by": "hpa",
        "bounds": "1 to 8",
        "problem": "no metrics",
    }


# --- in step -----------------------------------------------------------------------------------

POLICY = "/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml/coordinatedpolicies/llama"


def test_roles_that_grow_in_step(ctx, api):
    given = configured(state(scaled()), **{"scale-together": "engine,decoder:25%"})
    out = settle(ctx, api, given)
    assert POLICY not in api.objects  # the decoder is not there yet
    config = {"scale-together": "engine,decoder:25%"}
    given = configured(again(out, scaled(), decoder()), **config)
    ctx.run(ctx.on.config_changed(), given)
    scaling = {"maxSkew": "25%", "progression": "OrderScheduled"}
    assert api.objects[POLICY]["spec"]["policies"] == [
        {"name": "scaling", "roles": ["engine", "decoder"], "strategy": {"scaling": scaling}}
    ]


def test_an_old_rbg_has_no_policies(ctx, api):
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    config = {"scale-together": "engine,decoder"}
    message = problem(ctx, engine(), **config)
    assert message == "llama: config scale-together: needs RBG 0.7 or later"


assert GROUPS
