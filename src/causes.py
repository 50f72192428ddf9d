# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Why a pod is not ready, as one short phrase. RBG never says; the pod and its events do."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tree import Tree, branch, entries, leaf, name_of, number, text

Pod = Tree

_PULL = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageNeverPull")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_MOUNT = ("FailedMount", "FailedAttachVolume")


@dataclass(frozen=True)
class Cause:
    """Why a pod is not ready.

    Attributes:
        text: a phrase without full stop, e.g. "cannot pull image x:1".
        person: whether a person must act; otherwise it heals by itself.
    """

    text: str
    person: bool


def last_seen(event: Tree) -> str:
    """When an event was seen last, RFC 3339; "" where it does not say."""
    series = text(event, "series", "lastObservedTime")
    return series or text(event, "lastTimestamp") or text(event, "eventTime")


def is_ready(pod: Pod) -> bool:
    """Whether the pod and its containers are ready and it is not on its way out.

    RBG >=0.7 writes to the pods' conditions too, so Ready alone is not believed.
    """
    return (
        not is_leaving(pod)
        and text(_condition(pod, "Ready"), "status") == "True"
        and text(_condition(pod, "ContainersReady"), "status") != "False"
    )


def is_leaving(pod: Pod) -> bool:
    """Whether the pod is being deleted or has ended."""
    return has_ended(pod) or is_going(pod)


def is_going(pod: Pod) -> bool:
    """Whether the pod is being deleted."""
    return bool(leaf(pod, "metadata", "deletionTimestamp"))


def has_ended(pod: Pod) -> bool:
    """Whether the pod's containers will not run again."""
    return text(pod, "status", "phase") in ("Succeeded", "Failed")


def cause(pod: Pod, events: Iterable[Tree] = ()) -> Cause:
    """The cause to show for one pod that is not ready.

    Args:
        pod: the pod.
        events: warning events of the namespace, if they were read.
    """
    for container in _containers(pod):
        found = _container(container)
        if found:
            return found
    if has_ended(pod):
        return Cause(f"pod {(text(pod, 'status', 'reason') or 'ended').lower()}", person=False)
    return _scheduling(pod) or _mount(pod, events) or Cause("starting", person=False)


def is_sibling(pod: Pod) -> bool:
    """Whether only RBG's own readiness gate keeps the pod from being ready.

    RBG >=0.7 marks the healthy pods of an instance not ready when one of them crashes: such a pod
    is never the culprit (seen on 0.8.0-alpha.5).
    """
    return text(_condition(pod, "Ready"), "reason") == "ReadinessGatesNotReady"


def _condition(pod: Pod, kind: str) -> Tree:
    none: Tree = {}
    return next((c for c in entries(pod, "status", "conditions") if c["type"] == kind), none)


def _containers(pod: Pod) -> Iterator[Tree]:
    """Container statuses, init containers first, each with the image that was asked for."""
    for said, seen in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
    ):
        images = {c["name"]: text(c, "image") for c in entries(pod, "spec", said)}
        for status in entries(pod, "status", seen):
            yield {**status, "image": images.get(status["name"], "")}


def _container(status: Tree) -> Cause | None:
    reason = text(status, "state", "waiting", "reason")
    message = _line(text(status, "state", "waiting", "message"))
    if reason in _PULL:
        return Cause(f"cannot pull image {status['image']}", person=True)
    if reason == "InvalidImageName":
        return Cause(f"{status['image']!r} is not an image name", person=True)
    if reason in _CONFIG:
        return Cause(f"cannot start container {status['name']}: {message or reason}", person=True)
    now, before = branch(status, "state", "terminated"), branch(status, "lastState", "terminated")
    # Between two crashes the container runs for a while: the cause must not come and go.
    again = number(status, "restartCount") > 1 and number(before, "exitCode")
    if reason == "CrashLoopBackOff" or number(now, "exitCode") or again:
        ended = now or before
        return Cause(f"container {status['name']} {_exit(ended, status)}", person=True)
    return None


def _exit(ended: Tree, status: Tree) -> str:
    restarts = number(status, "restartCount")
    how = "runs out of memory" if text(ended, "reason") == "OOMKilled" else "crashes"
    code = ended.get("exitCode")
    known = f"exit code {code}, " if code is not None else ""
    return f"{how} ({known}{restarts} restart{'' if restarts == 1 else 's'})"


def _scheduling(pod: Pod) -> Cause | None:
    if text(pod, "spec", "nodeName"):
        return None
    scheduled = _condition(pod, "PodScheduled")
    if text(scheduled, "reason") == "Unschedulable":
        return Cause(f"unschedulable, {_unschedulable(text(scheduled, 'message'))}", person=True)
    if text(scheduled, "reason") == "SchedulingGated":
        return Cause("held by a scheduling gate", person=False)
    scheduler = text(pod, "spec", "schedulerName") or "default-scheduler"
    if not scheduled and scheduler != "default-scheduler":
        return Cause(f"not seen by scheduler {scheduler} yet", person=False)
    return None


def _unschedulable(message: str) -> str:
    """`0/4 nodes are available: 4 Insufficient nvidia.com/gpu. preemption: …`, in a few words."""
    insufficient = re.search(r"Insufficient ([\w./-]+?)[.,]?(?:\s|$)", message)
    if insufficient:
        return f"insufficient {insufficient[1]}"
    if "affinity" in message or "node selector" in message:
        return "no node matches its affinity or selector"
    taint = re.search(r"untolerated taint\(?s?\)? \{([^:}]+)", message)
    if taint:
        return f"no toleration for taint {taint[1].strip()}"
    _, _, reasons = message.partition(": ")
    return _line(reasons or message).split(". ")[0].rstrip(".") or "no node fits"


def _mount(pod: Pod, events: Iterable[Tree]) -> Cause | None:
    for event in events:
        about = text(event, "involvedObject", "name")
        if about == name_of(pod) and text(event, "reason") in _MOUNT and _creating(pod):
            why = _line(text(event, "message")).rpartition(" : ")[2]
            return Cause(f"cannot mount a volume: {why}", person=True)
    return None


def _creating(pod: Pod) -> bool:
    """Whether a container waits to be made: later on, an old event says nothing."""
    reasons = [text(c, "state", "waiting", "reason") for c in _containers(pod)]
    return not reasons or any(r in ("ContainerCreating", "PodInitializing") for r in reasons)


def _line(message: str) -> str:
    return " ".join(message.split())
