# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Pods as a kubelet and scheduler leave them, and the one phrase that is shown."""

import pytest

from causes import Cause, cause, is_leaving, is_ready, is_sibling


def waiting(reason, message="", **more):
    return {"name": "serve", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def pod(*statuses, node="n", phase="Pending", conditions=(), scheduler=None, **status):
    spec = {"containers": [{"name": "serve", "image": "lmsysorg/sglang:v9"}]}
    if node:
        spec["nodeName"] = node
    if scheduler:
        spec["schedulerName"] = scheduler
    return {
        "metadata": {"name": "p"},
        "spec": spec,
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": list(statuses),
            **status,
        },
    }


def unschedulable(message):
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": message}
    return pod(node="", conditions=[condition])


DIED = {"exitCode": 137, "reason": "OOMKilled"}
CASES = [
    (pod(waiting("ImagePullBackOff")), "cannot pull image lmsysorg/sglang:v9", True),
    (pod(waiting("ErrImagePull")), "cannot pull image lmsysorg/sglang:v9", True),
    (pod(waiting("InvalidImageName")), "'lmsysorg/sglang:v9' is not an image name", True),
    (
        pod(waiting("CreateContainerConfigError", 'secret "hf"\nnot found')),
        'cannot start container serve: secret "hf" not found',
        True,
    ),
    (
        pod(waiting("CreateContainerError")),
        "cannot start container serve: CreateContainerError",
        True,
    ),
    (
        pod(
            waiting("CrashLoopBackOff", restartCount=3, lastState={"terminated": {"exitCode": 1}})
        ),
        "container serve crashes (exit code 1, 3 restarts)",
        True,
    ),
    (
        pod(waiting("CrashLoopBackOff", restartCount=1, lastState={"terminated": DIED})),
        "container serve runs out of memory (exit code 137, 1 restart)",
        True,
    ),
    (
        pod(
            {
                "name": "serve",
                "state": {"running": {}},
                "restartCount": 7,
                "lastState": {"terminated": DIED},
            }
        ),
        "container serve runs out of memory (exit code 137, 7 restarts)",
        True,
    ),
    (
        pod(
            {
                "name": "serve",
                "state": {"running": {}},
                "restartCount": 1,
                "lastState": {"terminated": DIED},
            }
        ),
        "starting",
        False,
    ),
    (pod(waiting("CrashLoopBackOff")), "container serve crashes (0 restarts)", True),
    (
        pod({"name": "serve", "state": {"terminated": {"exitCode": 2}}, "restartCount": 0}),
        "container serve crashes (exit code 2, 0 restarts)",
        True,
    ),
    (pod({"name": "serve", "state": {"terminated": {"exitCode": 0}}}), "starting", False),
    (pod(waiting("ContainerCreating")), "starting", False),
    (pod({"name": "serve", "state": {"running": {}}}, phase="Running"), "starting", False),
    (pod(phase="Failed", reason="Evicted"), "pod evicted", False),
    (pod(phase="Succeeded"), "pod ended", False),
    (
        unschedulable("0/4 nodes are available: 4 Insufficient nvidia.com/gpu. preemption: 0/4"),
        "unschedulable, insufficient nvidia.com/gpu",
        True,
    ),
    (
        unschedulable("0/4 nodes are available: 1 Insufficient cpu, 3 Insufficient memory."),
        "unschedulable, insufficient cpu",
        True,
    ),
    (
        unschedulable(
            "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector."
        ),
        "unschedulable, no node matches its affinity or selector",
        True,
    ),
    (
        unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: only}."),
        "unschedulable, no toleration for taint gpu",
        True,
    ),
    (
        unschedulable('0/1 nodes are available: persistentvolumeclaim "llm" not found. preempt'),
        'unschedulable, persistentvolumeclaim "llm" not found',
        True,
    ),
    (unschedulable(""), "unschedulable, no node fits", True),
    (
        pod(node="", conditions=[{"type": "PodScheduled", "reason": "SchedulingGated"}]),
        "held by a scheduling gate",
        False,
    ),
    (pod(node="", scheduler="volcano"), "not seen by scheduler volcano yet", False),
    (pod(node=""), "starting", False),
]


@pytest.mark.parametrize(("given", "text", "person"), CASES)
def test_cause(given, text, person):
    assert cause(given) == Cause(text, person)


def test_an_init_container_is_named_with_its_image():
    given = pod(phase="Pending")
    given["spec"]["initContainers"] = [{"name": "pull", "image": "example.test/pull:1"}]
    given["status"]["initContainerStatuses"] = [{**waiting("ErrImagePull"), "name": "pull"}]
    assert cause(given).text == "cannot pull image example.test/pull:1"


def test_a_volume_that_cannot_be_mounted_is_known_from_events():
    message = 'MountVolume.SetUp failed for volume "m" : secret "hf" not found'
    event = {"reason": "FailedMount", "involvedObject": {"name": "p"}, "message": message}
    running = pod({"name": "serve", "state": {"running": {}}})
    assert cause(running, [event]).text == "starting"  # it was mounted in the end
    assert cause(pod(waiting("ContainerCreating")), [event]).person
    assert cause(pod(), [{"message": "no reason, about nothing"}]).text == "starting"
    other = {**event, "involvedObject": {"name": "q"}}
    assert cause(pod(), [other]).text == "starting"
    found = cause(pod(), [other, event])
    assert found == Cause('cannot mount a volume: secret "hf" not found', person=True)


def conditions(ready, containers="True", **more):
    return [
        {"type": "Ready", "status": ready, **more},
        {"type": "ContainersReady", "status": containers},
    ]


def test_ready_takes_containers_too():
    assert is_ready(pod(phase="Running", conditions=conditions("True")))
    assert not is_ready(pod(phase="Running", conditions=conditions("True", "False")))
    assert not is_ready(pod(phase="Running", conditions=conditions("False")))


def test_a_pod_on_its_way_out_is_not_ready():
    given = pod(phase="Running", conditions=conditions("True"))
    given["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert is_leaving(given) and not is_ready(given)
    assert is_leaving(pod(phase="Failed"))


def test_a_healthy_sibling_of_a_crashed_pod():
    given = pod(phase="Running", conditions=conditions("False", reason="ReadinessGatesNotReady"))
    assert is_sibling(given)
    assert not is_sibling(pod(phase="Running", conditions=conditions("False")))
