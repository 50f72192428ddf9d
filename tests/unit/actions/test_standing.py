# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`status-detail` and `rollout-status`."""

from types import SimpleNamespace

from actions import standing
from cluster import Cluster
from tests.shapes import template
from tests.unit.actions.acting import act, again, refusal
from tests.unit.stub import PODS, pod
from tests.unit.test_charm import decoder, engine, pods_of, settle, state


def test_status_detail(ctx, api):
    out = settle(ctx, api, state(engine(), decoder(start_after=["engine"])))
    pulling = {"name": "serve", "state": {"waiting": {"reason": "ErrImagePull"}}}
    leaving = pod("llama-engine-9", "engine")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    made = api.roles["engine"]["standalonePattern"]["template"]
    api.lists[PODS] = [
        pod("llama-engine-0", "engine", made),
        pod("llama-engine-1", "engine", made, ready=False, containerStatuses=[pulling]),
        leaving,
    ]
    warning = {
        "reason": "Failed",
        "message": "Failed to pull\nimage",
        "involvedObject": {"name": "llama-engine-1"},
    }
    other = {**warning, "involvedObject": {"name": "llama-engineer-1"}}
    api.lists["/api/v1/namespaces/ml/events"] = [warning, other]
    labels = {
        "rbg.workloads.x-k8s.io/group-name": "llama",
        "rbg.workloads.x-k8s.io/role-name": "engine",
    }
    api.lists["/apis/workloads.x-k8s.io/v1alpha2/namespaces/ml/roleinstancesets"] = [
        {"metadata": {"name": "llama-engine", "labels": labels}, "status": {}}
    ]
    ctx.run(ctx.on.action("status-detail"), out)
    line = "engine 1/2: cannot pull image example.test/e:1; decoder 0/1: waiting for engine"
    assert ctx.action_results == {
        "status": f"blocked: {line}",
        "group": "llama",
        "api-version": "v1alpha2",
        "roles": {
            "engine": {
                "ready": "1/2",
                "updated": "2/2",
                "state": "blocked",
                "cause": "cannot pull image example.test/e:1",
                "pods-per-replica": "1",
                "workload": "RoleInstanceSet/llama-engine",
                "pods-not-ready": {
                    "llama-engine-1": "cannot pull image example.test/e:1",
                    "llama-engine-9": "leaving",
                },
                "events": {"1": "Failed llama-engine-1: Failed to pull image"},
            },
            "decoder": {
                "ready": "0/1",
                "updated": "0/1",
                "state": "waiting",
                "cause": "waiting for engine",
                "pods-per-replica": "1",
                "workload": "RoleInstanceSet/llama-decoder",
                "start-after": "engine",
            },
        },
        "problems": {},
    }


def test_status_detail_without_a_group(ctx, api):
    ctx.run(ctx.on.action("status-detail"), state())
    assert ctx.action_results["status"].startswith("blocked: no role related")


def test_status_detail_makes_four_requests(ctx, api):
    out = settle(ctx, api, state(engine()))
    api.requests.clear()
    act(ctx, "status-detail", out)
    assert [r.partition("?")[0].rpartition("/")[2] for r in api.requests] == [
        "llama",
        "pods",
        "roleinstancesets",
        "events",
    ]


def test_status_detail_shows_every_hold(ctx, api):
    out = settle(ctx, api, state(engine(), decoder()))
    _, out = act(ctx, "scale", out, role="engine", replicas=2)
    _, out = act(ctx, "rollout-pause", out, role="engine")
    results, _ = act(ctx, "status-detail", out)
    assert results["roles"]["engine"]["held"] == {"replicas": "2", "rollout": "paused"}
    assert "held" not in results["roles"]["decoder"]


def test_rollout_status_of_a_group_that_is_done(ctx, api):
    out = settle(ctx, api, state(engine()))
    results, _ = act(ctx, "rollout-status", out)
    assert results == {
        "complete": "true",
        "roles": {
            "engine": {
                "ready": "2/2",
                "updated": "2/2",
                "state": "ready",
                "pods-per-replica": "1",
                "workload": "RoleInstanceSet/llama-engine",
            }
        },
        "status": "engine 2/2",
    }


def moving(ctx, api):
    """A group whose engine is on its way to another template."""
    out = settle(ctx, api, state(engine()))
    changed = again(out, engine(template=template("example.test/engine:2")))
    return ctx.run(ctx.on.config_changed(), changed)


def test_rollout_status_of_a_group_on_its_way(ctx, api):
    results, _ = act(ctx, "rollout-status", moving(ctx, api))
    assert results["complete"] == "false"
    assert results["roles"]["engine"]["cause"] == "updating, 0/2 updated"


def test_rollout_status_waits_for_the_end(ctx, api, monkeypatch):
    out = moving(ctx, api)
    waited = []

    def pods_change(self, seconds):
        waited.append(seconds)
        api.lists[PODS] = pods_of(api)
        self.forget()
        return True

    monkeypatch.setattr(Cluster, "pods_change", pods_change)
    results, _ = act(ctx, "rollout-status", out, wait=60)
    assert results["complete"] == "true"
    assert 58 <= waited[0] <= 60
    assert ctx.action_logs == ["engine 2/2: updating, 0/2 updated"]


def test_rollout_status_gives_up_at_its_bound(ctx, api, monkeypatch):
    out = moving(ctx, api)
    monkeypatch.setattr(Cluster, "pods_change", lambda self, seconds: False)
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(standing, "time", SimpleNamespace(monotonic=lambda: next(now)))
    message = refusal(ctx, "rollout-status", out, wait=60)
    assert message == ("not complete after 60 s: engine 2/2: updating, 0/2 updated")
    assert ctx.action_results["complete"] == "false"


def test_a_paused_rollout_is_not_complete(ctx, api):
    out = settle(ctx, api, state(engine()))
    _, out = act(ctx, "rollout-pause", out, role="engine")
    changed = again(out, engine(template=template("example.test/engine:2")))
    out = ctx.run(ctx.on.config_changed(), changed)
    results, _ = act(ctx, "rollout-status", out)
    assert results["complete"] == "false"
    assert results["status"] == "engine 2/2 (paused, 0/2 updated)"


def test_a_wait_that_is_too_long(ctx, api):
    message = refusal(ctx, "rollout-status", state(engine()), wait=1801)
    assert message == "wait: Input should be less than or equal to 1800"
