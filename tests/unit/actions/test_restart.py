# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`rollout-restart`: what really replaces pods, in order, and nothing else."""

import json

from names import RESTART_ENV, TEMPLATE_DIGEST
from tests.unit.actions.acting import act, again, holds, refusal
from tests.unit.stub import PODS, crd
from tests.unit.test_charm import decoder, engine, leave, pods_of, settle, state


def stamp(api, role):
    template = api.roles[role]["standalonePattern"]["template"]
    said = template["spec"]["containers"][0]["env"]
    return {e["name"]: e["value"] for e in said if "value" in e}.get(RESTART_ENV, "")


def without_stamp(api):
    spec = json.loads(json.dumps(api.group["spec"]))
    for role in spec["roles"]:
        template = role["standalonePattern"]["template"]
        container = template["spec"]["containers"][0]
        container["env"] = [e for e in container["env"] if e["name"] != RESTART_ENV]
        digest = template["metadata"]["annotations"][TEMPLATE_DIGEST]
        template["metadata"]["annotations"][TEMPLATE_DIGEST] = digest.partition(".")[0]
    return spec


def test_a_variable_changes_and_nothing_else(ctx, api):
    """An annotation would restart nothing: RBG patches it into the running pods (trap 3)."""
    out = settle(ctx, api, state(engine(), decoder()))
    before = without_stamp(api)
    results, out = act(ctx, "rollout-restart", out, role="engine")
    assert stamp(api, "engine")
    assert not stamp(api, "decoder")
    assert without_stamp(api) == before
    assert results == {
        "restarting": "engine",
        "queued": {},
        "status": "engine 2/2: updating, 0/2 updated; decoder 1/1",
    }


def test_a_second_restart_is_another_one(ctx, api):
    out = settle(ctx, api, state(engine()))
    _, out = act(ctx, "rollout-restart", out)
    first = stamp(api, "engine")
    act(ctx, "rollout-restart", out)
    assert stamp(api, "engine") > first


def test_later_hooks_restart_nothing_again(ctx, api):
    out = settle(ctx, api, state(engine()))
    _, out = act(ctx, "rollout-restart", out)
    first = stamp(api, "engine")
    given = again(out, engine(replicas=3))
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert stamp(api, "engine") == first


def test_dependants_wait_until_the_roles_before_them_are_well(ctx, api):
    """In one apply they would go together: RBG asks only whether a dependency is ready."""
    given = state(engine(), decoder(start_after=["engine"]))
    out = settle(ctx, api, given)
    results, out = act(ctx, "rollout-restart", out)
    assert results["restarting"] == "engine"
    assert results["queued"] == {"decoder": "after engine"}
    assert not stamp(api, "decoder")
    out = ctx.run(ctx.on.update_status(), out)
    assert not stamp(api, "decoder")
    api.lists[PODS] = pods_of(api)
    out = ctx.run(ctx.on.update_status(), out)
    assert stamp(api, "decoder") == stamp(api, "engine")
    assert "queued" not in holds(out)


def test_only_named_dependencies_are_waited_for(ctx, api):
    out = settle(ctx, api, state(engine(), decoder(start_after=["engine"])))
    results, _ = act(ctx, "rollout-restart", out, role="decoder")
    assert results["restarting"] == "decoder"
    assert not stamp(api, "engine")


def test_a_queued_role_that_leaves_is_forgotten(ctx, api):
    out = settle(ctx, api, state(engine(), decoder(start_after=["engine"])))
    _, out = act(ctx, "rollout-restart", out)
    given = again(out, engine(), decoder(start_after=["engine"]))
    out = leave(ctx, api, given, 12)
    assert "queued" not in holds(out)


def test_a_paused_role_is_refused(ctx, api):
    out = settle(ctx, api, state(engine()))
    _, out = act(ctx, "rollout-pause", out)
    message = refusal(ctx, "rollout-restart", out)
    assert message == "engine is paused; run `rollout-resume role=engine` first"


def test_a_canary_is_refused(ctx, api):
    path = "rolloutStrategy.rollingUpdate.partition"
    api.objects.update({k: crd("v1alpha2", path) for k in api.objects if "customres" in k})
    out = settle(ctx, api, state(engine(rollout={"partition": 1})))
    message = refusal(ctx, "rollout-restart", out)
    assert message == (
        "engine is a canary: 1 of 2 replicas keep the old template; "
        "run `rollout-resume role=engine to=0` first"
    )


def test_requests(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.requests.clear()
    act(ctx, "rollout-restart", out)
    assert len(api.requests) <= 5
