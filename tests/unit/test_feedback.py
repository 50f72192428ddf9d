# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""How the roles' pods are found, on every workload and RBG release."""

import pytest

from faults import Fault
from feedback import states
from problems import Problem
from report import Report
from tests.shapes import group, related, template

KINDS = "rbg.workloads.x-k8s.io/role-workload-type"
V06 = "v1alpha1 role-metadata"


def live(role, version="v1alpha2", api="v1alpha2"):
    return {
        "apiVersion": f"workloads.x-k8s.io/{version}",
        "metadata": {"name": "llama", "annotations": {"rbg-k8s.charm/api": api}},
        "spec": {"roles": [{"name": "engine", **role}]},
    }


def workload(kind):
    return {"workload": {"kind": kind}}


@pytest.mark.parametrize(
    ("group_there", "version", "host"),
    [
        (live({}), "v1alpha2", "s-llama-engine.ml.svc"),
        (
            live({"annotations": {KINDS: "apps/v1/StatefulSet"}}),
            "v1alpha2",
            "s-llama-engine.ml.svc",
        ),
        (live({"annotations": {KINDS: "apps/v1/Deployment"}}), "v1alpha2", ""),
        (
            live({"annotations": {KINDS: "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet"}}),
            "v1alpha2",
            "llama-engine.ml.svc",
        ),
        (live(workload("StatefulSet"), "v1alpha1", V06), "v1alpha1", "s-llama-engine.ml.svc"),
        (live(workload("StatefulSet"), "v1alpha1", "v1alpha1"), "v1alpha1", "llama-engine.ml.svc"),
        (live(workload("LeaderWorkerSet"), "v1alpha1", V06), "v1alpha1", "llama-engine.ml.svc"),
        (None, "v1alpha2", ""),
    ],
)
def test_host(group_there, version, host):
    inputs = group(related("engine", template=template()))
    [told] = states(inputs, Report(group_there, version=version), {}).values()
    assert told["host"] == host
    assert told["api_version"] == (f"workloads.x-k8s.io/{version}" if group_there else "")


@pytest.mark.parametrize(
    ("report", "state", "reason"),
    [
        (Report(), "waiting", "not applied yet"),
        (Report(fault=Fault("not trusted", blocked=True)), "blocked", "not trusted"),
        (
            Report(problems=(Problem("prefill", "engine", "replicas", "no"),)),
            "blocked",
            "prefill (role engine): replicas: no",
        ),
        (
            Report(problems=(Problem("other", "engine", "role", "no"),)),
            "waiting",
            "not applied yet",
        ),
    ],
)
def test_standing_without_health(report, state, reason):
    inputs = group(related("engine", template=template()))
    [told] = states(inputs, report, {}).values()
    assert (told["state"], told["reason"]) == (state, reason)
    assert (told["desired"], told["ready"], told["updated"]) == (0, 0, 0)
