# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`scale` holds a count and gives it back; what it cannot do it says."""

import pytest
from ops import testing

from tests.unit.actions.acting import act, again, holds, refusal
from tests.unit.stub import CRD, PODS, crd
from tests.unit.test_charm import decoder, engine, leave, settle, state


def scale(ctx, given, **params):
    return ctx.run(ctx.on.action("scale", params={"release": False, **params}), given)


def test_scale_holds_the_count_whatever_the_role_charm_says(ctx, api):
    out = settle(ctx, api, state(engine()))
    out = scale(ctx, out, role="engine", replicas=5)
    assert api.roles["engine"]["replicas"] == 5
    assert ctx.action_results == {
        "role": "engine",
        "replicas": "5",
        "held": "true",
        "status": "engine 2/5: starting (held)",
    }
    given = state(engine(replicas=3), peers=out.get_relation(1))
    ctx.run(ctx.on.relation_changed(given.get_relation(11)), given)
    assert api.roles["engine"]["replicas"] == 5


def test_the_hold_of_a_role_that_left_can_be_released(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    out = scale(ctx, out, role="decoder", replicas=3)
    given = state(engine(), decoder(), peers=out.get_relation(1))
    out = leave(ctx, api, given, 12)
    scale(ctx, state(engine(), peers=out.get_relation(1)), role="decoder", release=True)
    assert ctx.action_results["held"] == "false"


def test_release_gives_it_back(ctx, api):
    out = settle(ctx, api, state(engine()))
    out = scale(ctx, out, role="engine", replicas=5)
    out = scale(ctx, out, role="engine", release=True)
    assert api.roles["engine"]["replicas"] == 2
    assert ctx.action_results["held"] == "false"
    assert ctx.action_results["replicas"] == "2"
    assert "holds" not in out.get_relation(1).local_app_data


def test_scale_to_zero(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    api.lists[PODS] = [p for p in api.lists[PODS] if "engine" in p["metadata"]["name"]]
    out = scale(ctx, out, role="decoder", replicas=0)
    message = "engine 2/2, decoder 0 (scaled to zero, held)"
    assert out.unit_status == testing.ActiveStatus(message)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"role": "store", "replicas": 1}, "no role 'store'; the roles are: engine"),
        ({"role": "engine"}, "say either replicas=<count> or release=true"),
        (
            {"role": "engine", "replicas": 1, "release": True},
            "say either replicas=<count> or release=true",
        ),
        (
            {"role": "engine", "replicas": -1},
            "replicas: Input should be greater than or equal to 0",
        ),
    ],
)
def test_scale_refuses(ctx, api, params, message):
    out = settle(ctx, api, state(engine()))
    assert refusal(ctx, "scale", out, **params) == message


def test_scale_refuses_a_count_that_would_hold_the_role_back(ctx, api):
    given = state(engine(replicas=3, rollout={"partition": 1}))
    api.objects[CRD]["spec"]["versions"][0]["schema"] = crd_with_partition()
    out = ctx.run(ctx.on.config_changed(), given)
    message = refusal(ctx, "scale", out, role="engine", replicas=1)
    assert message == (
        "prefill (role engine): rollout.partition: 1 must be less than the replicas (1)"
    )
    assert "holds" not in out.get_relation(1).local_app_data


def crd_with_partition():
    made = crd("v1alpha2", "rolloutStrategy.rollingUpdate.partition")
    return made["spec"]["versions"][0]["schema"]


def test_a_cluster_that_refuses_leaves_everything_as_it_was(ctx, api):
    out = settle(ctx, api, state(engine()))
    denied = 'admission webhook "v.kb.io" denied the request: no'
    api.answers["PATCH", "/"] = (403, denied)
    message = refusal(ctx, "scale", out, role="engine", replicas=3)
    assert message == "nothing was changed: no"
    assert api.roles["engine"]["replicas"] == 2
    del api.answers["PATCH", "/"]
    out = ctx.run(ctx.on.update_status(), again(out))
    assert holds(out) == {}
    assert out.unit_status == testing.ActiveStatus("engine 2/2")


def test_an_api_server_that_goes_away_meanwhile_changes_nothing(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.answers["PATCH", "/"] = (503, "away")
    message = refusal(ctx, "scale", out, role="engine", replicas=3)
    away = "waiting for the Kubernetes API server: it answers 503"
    assert message == f"nothing was changed: {away}"


def test_a_count_that_arrived_stays_held_when_the_api_server_goes_away_after_it(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.answers["GET", PODS] = (503, "away")
    results, out = act(ctx, "scale", out, role="engine", replicas=3)
    assert results["held"] == "true"
    assert holds(out) == {"replicas": {"engine": 3}}


def test_a_second_action_sees_the_first_ones_hold(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    _, out = act(ctx, "scale", out, role="engine", replicas=3)
    _, out = act(ctx, "scale", out, role="decoder", replicas=2)
    assert holds(out) == {"replicas": {"engine": 3, "decoder": 2}}


def test_scale_makes_three_requests_and_one_for_the_group(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.requests.clear()
    act(ctx, "scale", out, role="engine", replicas=3)
    assert [r.partition(" ")[0] for r in api.requests] == ["GET", "GET", "PATCH", "GET"]
