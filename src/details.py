# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What `status-detail` shows of each role."""

import json
from dataclasses import replace
from typing import Any

from causes import cause, is_leaving, is_ready, last_seen
from children import Child
from health import RoleHealth
from holds import Holds
from inputs import Inputs
from look import View
from names import AUTOSCALERS, child
from report import Report
from rolepods import RolePods, roles_with_pods
from tree import Tree, entries, leaf, name_of, number, text
from workloads import live_kind

_MAX_LINES = 10  # of pods and of events a role: the first ones say what is wrong


def role_details(report: Report, holds: Holds, inputs: Inputs) -> dict[str, Any]:
    """Everything known of the group, as nested results of an action.

    Args:
        report: what the hook found, workloads and events included.
        holds: what actions hold.
        inputs: what Juju says.
    """
    if report.live is None:
        return {}
    revision, waiting = report.pin
    pinned = {"revision": str(revision), "changes-waiting": str(waiting)} if revision else {}
    shown: dict[str, Any] = {
        "group": name_of(report.live),
        "api-version": report.version,
        "held": pinned,
    }
    if report.groups:
        children = report.view.children
        each = {child.name: _roles(_of(child, report), holds, inputs) for child in children}
        return _shown({**shown, "groups": each})
    return _shown({**shown, "roles": _roles(report, holds, inputs)})


def _of(child: Child, report: Report) -> Report:
    """The report as if one group of the set were all there is."""
    view = View(report.view.pods, child.details, child.health)
    return replace(report, live=child.group, health=child.health, view=view)


def _roles(report: Report, holds: Holds, inputs: Inputs) -> dict[str, Any]:
    judged = {h.name: h for h in report.health}
    live: Tree = report.live or {}
    return {
        role.name: _shown(
            {
                **_standing(role, judged[role.name], report),
                "held": _held(role.name, holds),
                "autoscaler": _autoscaler(role, report, inputs),
                "pods-not-ready": _pods(role, report.view),
                "events": _events(child(name_of(live), role.name), report.view),
            }
        )
        for role in roles_with_pods(live, report.view.pods)
        if role.name in judged
    }


def rollout_details(report: Report) -> dict[str, Any]:
    """How far each role is, in each group of a set."""
    if report.groups:
        return {c.name: rollout_details(_of(c, report)) for c in report.view.children}
    judged = {h.name: h for h in report.health}
    roles = roles_with_pods(report.live or {}, report.view.pods)
    return {r.name: _shown(_standing(r, judged[r.name], report)) for r in roles}


def _standing(role: RolePods, judged: RoleHealth, report: Report) -> dict[str, str]:
    kind = live_kind(role.spec, report.version)
    workload = report.view.details.workloads.get(role.name)
    return {
        "ready": f"{judged.ready}/{judged.desired}",
        "updated": f"{judged.updated}/{judged.desired}",
        "state": judged.state.value,
        "cause": judged.cause,
        "revision": text(workload, "status", "updateRevision"),
        "partition": str(role.partition or ""),
        "pods-per-replica": str(role.size),
        "workload": f"{kind}/{child(name_of(report.live or {}), role.name)}",
        "start-after": ", ".join(entries(role.spec, "dependencies")),
    }


def _autoscaler(role: RolePods, report: Report, inputs: Inputs) -> dict[str, str]:
    """Who counts the role, within which bounds, and why it cannot; its warnings tell that."""
    if not leaf(role.spec, "scalingAdapter", "enable"):
        return {}
    said = next((r.data.get("scaling", "") for r in inputs.roles if r.name == role.name), "")
    bounds: Tree = json.loads(said or "null") or {}
    name = child(name_of(report.live or {}), role.name)
    warned = [
        " ".join(text(event, "message").split())
        for event in sorted(report.view.details.events, key=last_seen)
        if text(event, "involvedObject", "kind") in AUTOSCALERS and _about(event) == name
    ]
    return _shown(
        {
            "by": str(inputs.config.get("autoscaler", "")),
            "bounds": f"{number(bounds, 'min')} to {number(bounds, 'max')}",
            "problem": warned[-1] if warned else "",
        }
    )


def _held(role: str, holds: Holds) -> dict[str, str]:
    step = holds.steps.get(role)
    said = {
        "replicas": str(holds.replicas.get(role, "")),
        "rollout": "paused" if role in holds.paused else "",
        "partition": str(step.to) if step else "",
        "restart": "waits for the roles before it" if role in holds.queued else "",
        "migration": "to RoleInstanceSet" if role in holds.migrating else "",
    }
    return _shown(said)


def _shown(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value}


def _pods(role: RolePods, view: View) -> dict[str, str]:
    waiting = [pod for pod in role.pods if not is_ready(pod)]
    return {
        name_of(pod): "leaving" if is_leaving(pod) else cause(pod, view.details.events).text
        for pod in waiting[:_MAX_LINES]
    }


def _events(workload: str, view: View) -> dict[str, str]:
    """The latest warnings about the role's workload, instances, pods and autoscaler."""
    own = [e for e in view.details.events if f"{_about(e)}-".startswith(f"{workload}-")]
    own.sort(key=last_seen)
    return {str(i): _event(e) for i, e in enumerate(own[-_MAX_LINES:], start=1)}


def _event(event: Tree) -> str:
    message = " ".join(text(event, "message").split())
    return f"{text(event, 'reason')} {_about(event)}: {message}"


def _about(event: Tree) -> str:
    return text(event, "involvedObject", "name")
