# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`show-manifest`: what would be applied, and what that would change."""

import json

import yaml

from actions import common
from tests.unit.actions.acting import act, again, refusal
from tests.unit.stub import CRD, crd
from tests.unit.test_charm import engine, relation, settle, state


def test_show_manifest(ctx, api):
    given = state(engine(), relation("router", "gateway", 13, template="x"))
    ctx.run(ctx.on.action("show-manifest"), given)
    results = ctx.action_results
    assert results["api-version"] == "v1alpha2"
    assert results["problems"]["1"].startswith("gateway (role router): template: ")
    [shown] = yaml.safe_load_all(results["manifest"])
    assert [r["name"] for r in shown["spec"]["roles"]] == ["engine"]
    assert not api.calls("PATCH") or api.group["spec"] == shown["spec"]


def test_show_manifest_on_an_old_rbg_that_is_not_remembered(ctx, api):
    """The running group is found all the same: a role that turned bad is shown as it runs."""
    api.version = "v1alpha1"
    api.objects[CRD] = crd("v1alpha1")
    ctx.run(ctx.on.config_changed(), state(engine(replicas=3)))
    ctx.run(ctx.on.action("show-manifest"), state(engine(replicas=-1)))
    [shown] = yaml.safe_load_all(ctx.action_results["manifest"])
    assert [(r["name"], r["replicas"]) for r in shown["spec"]["roles"]] == [("engine", 3)]


def test_show_manifest_as_json(ctx, api):
    ctx.run(ctx.on.action("show-manifest", params={"format": "json"}), state(engine()))
    assert json.loads(ctx.action_results["manifest"])[0]["kind"] == "RoleBasedGroup"


def test_show_manifest_of_nothing(ctx, api):
    ctx.run(ctx.on.action("show-manifest", params={"format": "json"}), state())
    assert ctx.action_results["manifest"] == "[]"


def test_a_manifest_that_is_too_large_for_a_result(ctx, api, monkeypatch):
    monkeypatch.setattr(common, "MAX_RESULT", 100)
    message = refusal(ctx, "show-manifest", state(engine()))
    assert message.endswith("characters; an action can show 100")


def test_a_field_that_the_api_server_refuses_is_a_problem(ctx, api):
    unknown = 'strict decoding error: unknown field "spec.roles[0].standalonePattern.bogus"'
    api.answers["POST", "/apis/workloads"] = (400, unknown)
    results, _ = act(ctx, "show-manifest", state(engine()))
    assert results["problems"] == {
        "1": "prefill (role engine): bogus: unknown field; correct its spelling"
    }
    assert not api.calls("PATCH")


def test_diff_of_a_count(ctx, api):
    out = settle(ctx, api, state(engine()))
    results, _ = act(ctx, "show-manifest", again(out, engine(replicas=3)), diff=True)
    changed = [line for line in results["diff"].splitlines() if line[0] in "+-"]
    assert "-    replicas: 2" in changed
    assert "+    replicas: 3" in changed
    assert changed[:2] == ["--- on the cluster", "+++ after an apply"]


def test_diff_of_what_is_there_already(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.requests.clear()
    results, _ = act(ctx, "show-manifest", out, diff=True)
    assert results["diff"] == ""
    assert len(api.requests) <= 4
