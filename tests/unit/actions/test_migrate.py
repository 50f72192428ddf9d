# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`migrate-api`: from RBG 0.6's workloads to RoleInstanceSets, without losing pods for ever."""

import pytest
from ops import testing

from names import WORKLOAD_TYPE
from tests.unit.actions.acting import act, again, holds, refusal
from tests.unit.stub import GROUPS, PODS, crd
from tests.unit.test_charm import CRD, decoder, engine, leave, pods_of, settle, state


@pytest.fixture
def upgraded(ctx, api):
    """A group made on RBG 0.6 whose cluster has 0.7 now: RBG's conversion marks each role."""
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    out = ctx.run(ctx.on.config_changed(), state(engine(), decoder()))
    old = api.objects.pop(api.group_path)
    api.version = "v1alpha2"
    api.objects[CRD] = crd("v1alpha2")
    roles = [
        {
            "name": r["name"],
            "replicas": r["replicas"],
            "annotations": {WORKLOAD_TYPE: "apps/v1/StatefulSet"},
            "standalonePattern": {"template": r["template"]},
        }
        for r in old["spec"]["roles"]
    ]
    old["apiVersion"] = "workloads.x-k8s.io/v1alpha2"
    api.objects[GROUPS.format("v1alpha2") + "/llama"] = {**old, "spec": {"roles": roles}}
    api.lists[PODS] = pods_of(api)
    return ctx.run(ctx.on.update_status(), out)


def kinds(api):
    return {
        name: role.get("annotations", {}).get(WORKLOAD_TYPE, "RoleInstanceSet").rpartition("/")[2]
        for name, role in api.roles.items()
    }


def counts(api):
    return {name: role["replicas"] for name, role in api.roles.items()}


def test_its_cost_is_said_first(ctx, api, upgraded):
    results, out = act(ctx, "migrate-api", upgraded)
    assert results == {
        "cost": {
            "engine": "StatefulSet to RoleInstanceSet: all 2 pods are stopped at once, "
            "then started anew",
            "decoder": "StatefulSet to RoleInstanceSet: all 1 pods are stopped at once, "
            "then started anew",
        },
        "run": "migrate-api confirm=true",
    }
    assert holds(out) == {}
    assert kinds(api) == {"engine": "StatefulSet", "decoder": "StatefulSet"}


def test_role_by_role_and_never_with_pods_left(ctx, api, upgraded):
    results, out = act(ctx, "migrate-api", upgraded, confirm=True)
    assert results["migrating"] == "engine, decoder"
    # 1. the engine goes to 0, and the decoder is not touched
    assert counts(api) == {"engine": 0, "decoder": 1}
    assert out.unit_status.message == "engine 0/0: scaling to zero; decoder 1/1"
    # 2. while a pod of it is there, nothing is switched (trap A2: the pods would be lost)
    engines = [p for p in api.lists[PODS] if "engine" in p["metadata"]["name"]]
    engines[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    api.lists[PODS].remove(engines[1])
    out = ctx.run(ctx.on.update_status(), out)
    assert kinds(api)["engine"] == "StatefulSet"
    # 3. without pods it is switched and goes back up
    api.lists[PODS].remove(engines[0])
    out = ctx.run(ctx.on.update_status(), out)
    assert kinds(api) == {"engine": "RoleInstanceSet", "decoder": "StatefulSet"}
    assert counts(api) == {"engine": 2, "decoder": 1}
    # 4. the next one goes only when it is well
    out = ctx.run(ctx.on.update_status(), out)
    assert counts(api) == {"engine": 2, "decoder": 1}
    api.lists[PODS] = pods_of(api)
    out = ctx.run(ctx.on.update_status(), out)
    assert counts(api) == {"engine": 2, "decoder": 0}
    api.lists[PODS] = pods_of(api)
    out = ctx.run(ctx.on.update_status(), out)
    api.lists[PODS] = pods_of(api)
    out = ctx.run(ctx.on.update_status(), out)
    assert kinds(api) == {"engine": "RoleInstanceSet", "decoder": "RoleInstanceSet"}
    assert out.unit_status == testing.ActiveStatus("engine 2/2, decoder 1/1")
    assert holds(out) == {}


def test_a_role_that_asks_for_its_workload_keeps_it(ctx, api, upgraded):
    given = again(upgraded, engine(workload="StatefulSet"), decoder())
    results, _ = act(ctx, "migrate-api", given)
    assert list(results["cost"]) == ["decoder"]


def test_a_role_that_leaves_meanwhile(ctx, api, upgraded):
    _, out = act(ctx, "migrate-api", upgraded, confirm=True)
    given = again(out, engine(), decoder())
    out = leave(ctx, api, given, 11)
    assert holds(out)["migrating"] == ["decoder"]


def test_twice(ctx, api, upgraded):
    _, out = act(ctx, "migrate-api", upgraded, confirm=True)
    message = refusal(ctx, "migrate-api", out, confirm=True)
    assert message == "engine, decoder is being migrated already"


def test_nothing_to_migrate(ctx, api):
    out = settle(ctx, api, state(engine()))
    assert refusal(ctx, "migrate-api", out) == "nothing to migrate"


def test_an_old_rbg_has_nothing_to_migrate_to(ctx, api):
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    out = ctx.run(ctx.on.config_changed(), state(engine()))
    assert refusal(ctx, "migrate-api", out) == (
        "this RBG knows no RoleInstanceSet; update it to 0.7 or later first"
    )
