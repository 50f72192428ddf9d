# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the genuine controller was seen to do is judged right (../shared/observed)."""

import pytest
import yaml

from health import Details, judge
from tree import label, name_of
from workloads import live_kind

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = {
    "RoleInstanceSet": "roleinstancesets",
    "StatefulSet": "statefulsets",
    "Deployment": "deployments",
    "LeaderWorkerSet": "leaderworkersets",
}


def objects(file):
    if not file.exists():
        return []
    return yaml.load(file.read_text(), LOADER).get("items", [])


def judged(folder, prefix="", rbg="rbg.yaml"):
    group = yaml.load((folder / f"{prefix}{rbg}").read_text(), LOADER)
    version = group["apiVersion"].rpartition("/")[2]
    kinds = {r["name"]: live_kind(r, version) for r in group["spec"]["roles"]}
    workloads = {}
    for kind, plural in KINDS.items():
        for found in objects(folder / f"{prefix}{plural}.yaml"):
            if label(found, "rbg.workloads.x-k8s.io/group-name") == name_of(group):
                role = label(found, "rbg.workloads.x-k8s.io/role-name")
                if kinds.get(role) == kind:
                    workloads[role] = {"kind": kind, **found}
    pods = objects(folder / f"{prefix}pods.yaml")
    return [h.text for h in judge(group, pods, Details(workloads))]


NO_NODE = "unschedulable, no node matches its affinity or selector"
SITUATIONS = {
    "coordinated-rollout/": [
        "decode 4/5: updating, 0/5 updated",
        "prefill 5/5: updating, 0/5 updated",
    ],
    "crash-recreate/": [
        "engine 1/2: container engine crashes (exit code 1, 1 restart)",
        "none 0/1: container none crashes (exit code 1, 1 restart)",
        "recreate 0/1: starting",
    ],
    "exclusive-topology-pending/": [f"engine 0/2: {NO_NODE}", f"router 0/1: {NO_NODE}"],
    "gang-with-dependency/": [
        "engine 0/2: starting",
        "router 0/1: waiting for engine, multi",
        "multi 0/2: starting",
    ],
    "partition/": ["engine 3/3 (2/3 updated)", "router 1/1"],
    "pattern-change/": ["engine 2/2", "router 1/1"],
    "paused/": ["engine 3/3 (paused, 0/3 updated)", "router 1/1"],
    "pending-image/": ["engine 0/2: cannot pull image example.test/nope:404", "router 1/1"],
    "pending-unschedulable/": [f"engine 0/2: {NO_NODE}", "router 1/1"],
    "ready-before-rollout/": ["engine 3/3", "router 1/1"],
    "removed-role/": ["engine 2/2", "router 1/1", "extra 1/1"],
    "rollout-in-progress/inplace.": ["engine 3/3: updating, 1/3 updated", "router 1/1"],
    "rollout-in-progress/recreate-stalled.": ["engine 2/3: updating, 1/3 updated", "router 1/1"],
    "rollout-stuck-after-fix/": ["engine 2/3: stuck on a broken revision", "router 1/1"],
    "scaled-by-adapter/": ["dep 2/2", "lwp 2/2", "ris 4/4", "sts 2/2"],
    "sts-to-ris-lost-pods/": [
        "engine 0/2: no pods, although RBG counts 2 ready",
        "router 0/1: no pods, although RBG counts 1 ready",
    ],
    "v1alpha1-authored/": ["engine 2/2", "router 1/1"],
    "warmup/1.": ["engine 2/2", "router 1/1"],
    "warmup/2.": ["engine 2/2", "router 1/1"],
    "warmup/3-after-pods-succeeded.": ["engine 2/2", "router 1/1"],
}
RUNS = (
    "v0.3.0-v1alpha1",
    "v0.7.0-v1alpha1",
    "v0.7.0-v1alpha2",
    "v0.8.0-alpha.5-v1alpha1",
    "v0.8.0-alpha.5-v1alpha2",
)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_situation(situation, shared):
    folder, _, prefix = situation.partition("/")
    got = judged(shared / "observed/traps" / folder, prefix)
    assert got == SITUATIONS[situation]


def test_every_recorded_situation_is_judged(shared):
    recorded = {f.name for f in (shared / "observed/traps").iterdir()}
    assert recorded == {s.partition("/")[0] for s in SITUATIONS}


def recorded(run, shared):
    """A group of the run once it was ready: the group, its pods and its roles' workloads."""
    folder = shared / "observed" / run
    group = yaml.load((folder / "ready.rbg.yaml").read_text(), LOADER)
    objects = yaml.load((folder / "ready.objects.yaml").read_text(), LOADER)
    workloads = {}
    for role in group["spec"]["roles"]:
        kind = live_kind(role, group["apiVersion"].rpartition("/")[2])
        for found in objects[KINDS[kind]]:
            if name_of(found) == f"{name_of(group)}-{role['name']}":
                workloads[role["name"]] = {"kind": kind, **found}
    return group, objects["pods"], Details(workloads)


@pytest.mark.parametrize("run", RUNS)
def test_a_group_that_became_ready(run, shared):
    group, pods, details = recorded(run, shared)
    assert set(details.workloads) == {"engine", "router", "multi"}
    got = [h.text for h in judge(group, pods, details)]
    assert got == ["engine 2/2", "router 1/1", "multi 2/2"]


@pytest.mark.parametrize("run", RUNS)
def test_the_same_group_with_a_pod_taken_away(run, shared):
    """RBG 0.3 never noticed; the pods tell."""
    group, pods, details = recorded(run, shared)
    left = [pod for pod in pods if not name_of(pod).endswith("engine-1")]
    assert len(left) == len(pods) - 1
    got = [h.text for h in judge(group, left, details)]
    assert got == ["engine 1/2: starting", "router 1/1", "multi 2/2"]
