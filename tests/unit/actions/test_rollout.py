# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`rollout-pause` and `rollout-resume`, canaries included."""

import pytest
from ops import testing

from tests.shapes import template
from tests.unit.actions.acting import act, again, holds, refusal
from tests.unit.stub import CRD, PODS, crd
from tests.unit.test_charm import decoder, engine, pods_of, settle, state

PARTITION = "rolloutStrategy.rollingUpdate.partition"
DELAYS = "leaderWorkerPattern.restartPolicyConfig.baseDelaySeconds"
NEW = template("example.test/engine:2")


def rolling(api, role="engine"):
    return api.roles[role].get("rolloutStrategy", {}).get("rollingUpdate", {})


def test_a_paused_role_keeps_its_pods_and_says_so(ctx, api):
    out = settle(ctx, api, state(engine()))
    results, out = act(ctx, "rollout-pause", out, role="engine")
    assert rolling(api) == {"paused": True}
    assert results == {"paused": "engine", "status": "engine 2/2 (paused)"}
    out = ctx.run(ctx.on.config_changed(), again(out, engine(template=NEW)))
    assert out.unit_status == testing.ActiveStatus("engine 2/2 (paused, 0/2 updated)")
    results, out = act(ctx, "rollout-resume", out, role="engine")
    assert rolling(api) == {}
    assert results == {"paused": "", "status": "engine 2/2: updating, 0/2 updated"}
    assert holds(out) == {}


def test_the_whole_group(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    results, out = act(ctx, "rollout-pause", out)
    assert results["paused"] == "decoder, engine"
    results, out = act(ctx, "rollout-resume", out, role="decoder")
    assert results["paused"] == "engine"


@pytest.mark.parametrize(
    ("workload", "features", "found"),
    [
        ("StatefulSet", [PARTITION], {"partition": 2}),
        ("StatefulSet", [], "engine runs as a StatefulSet"),
        ("StatefulSet", [PARTITION, DELAYS], "engine runs as a StatefulSet"),
        ("Deployment", [PARTITION], "engine runs as a Deployment"),
    ],
)
def test_what_can_pause_depends_on_the_workload(ctx, api, workload, features, found):
    """RBG hands `paused` to RoleInstanceSets only; 0.8 refuses a partition of all replicas."""
    api.objects[CRD] = crd("v1alpha2", *features)
    out = settle(ctx, api, state(engine(workload=workload)))
    if isinstance(found, dict):
        results, _ = act(ctx, "rollout-pause", out)
        assert rolling(api) == found
        assert results["status"] == "engine 2/2 (paused)"
    else:
        message = refusal(ctx, "rollout-pause", out)
        reason = f"{found}, which this RBG cannot pause"
        assert message == f"{reason}; name only roles that it can"
        assert rolling(api) == {}


def test_nothing_to_resume(ctx, api):
    out = settle(ctx, api, state(engine()))
    message = refusal(ctx, "rollout-resume", out)
    assert message == "nothing is paused or held; a canary goes on with `to=<partition>`"


# --- canaries ----------------------------------------------------------------------------------


@pytest.fixture
def canary(ctx, api):
    """Three replicas, two of which keep the old template."""
    api.objects[CRD] = crd("v1alpha2", PARTITION)
    given = engine(replicas=3, rollout={"partition": 2})
    out = settle(ctx, api, state(given))
    changed = again(out, engine(replicas=3, rollout={"partition": 2}, template=NEW))
    return ctx.run(ctx.on.config_changed(), changed)


def test_a_canary_goes_step_by_step(ctx, api, canary):
    _, out = act(ctx, "rollout-resume", canary, role="engine", to=1)
    assert rolling(api) == {"partition": 1}
    _, out = act(ctx, "rollout-resume", out, role="engine", to=0)
    assert rolling(api) == {"partition": 0}
    api.lists[PODS] = pods_of(api)
    out = ctx.run(ctx.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("engine 3/3")


def test_the_next_template_begins_as_a_canary_again(ctx, api, canary):
    _, out = act(ctx, "rollout-resume", canary, role="engine", to=0)
    third = template("example.test/engine:3")
    given = again(out, engine(replicas=3, rollout={"partition": 2}, template=third))
    ctx.run(ctx.on.config_changed(), given)
    assert rolling(api) == {"partition": 2}


def test_a_step_outlives_a_change_of_the_count(ctx, api, canary):
    _, out = act(ctx, "rollout-resume", canary, role="engine", to=1)
    given = again(out, engine(replicas=5, rollout={"partition": 2}, template=NEW))
    ctx.run(ctx.on.config_changed(), given)
    assert rolling(api) == {"partition": 1}


def test_a_step_also_unpauses(ctx, api, canary):
    _, out = act(ctx, "rollout-pause", canary)
    _, out = act(ctx, "rollout-resume", out, role="engine", to=1)
    assert rolling(api) == {"partition": 1}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"to": 3}, "to: must be less than the 3 replicas of engine"),
        ({"to": -1}, "to: Input should be greater than or equal to 0"),
    ],
)
def test_steps_that_are_refused(ctx, api, canary, params, message):
    assert refusal(ctx, "rollout-resume", canary, role="engine", **params) == message


def test_a_deployment_has_no_partition(ctx, api):
    out = settle(ctx, api, state(engine(workload="Deployment")))
    message = refusal(ctx, "rollout-resume", out, role="engine", to=0)
    assert message == "engine runs as a Deployment, which knows no partition"


def test_a_step_without_any_canary(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    message = refusal(ctx, "rollout-resume", out, to=0)
    assert message == "no role keeps a canary; say which one with role=<name>"


def test_requests(ctx, api):
    out = settle(ctx, api, state(engine()))
    for action in ("rollout-pause", "rollout-resume"):
        api.requests.clear()
        _, out = act(ctx, action, out)
        assert len(api.requests) <= 5
