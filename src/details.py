# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What `status-detail` shows of each role."""

from collections.abc import Sequence
from typing import Any

from causes import cause, is_leaving, is_ready
from cluster import Cluster
from health import RoleHealth
from look import View, look
from names import child
from report import Report
from rolepods import RolePods, roles_with_pods
from tree import Tree, entries, name_of, text

_MAX_LINES = 10  # of pods and of events a role: the first ones say what is wrong


def status_details(cluster: Cluster, report: Report) -> dict[str, Any]:
    """Everything known of the group, as nested results of an action.

    Args:
        cluster: the cluster; asked for workloads and events as well.
        report: what the hook found.
    """
    if report.live is None:
        return {}
    view = look(cluster, report.live, always=True)
    judged = {h.name: h for h in view.health}
    group = name_of(report.live)
    return {
        "group": group,
        "api-version": report.version,
        "roles": {
            role.name: _role(group, role, judged[role.name], view, role.name in report.held)
            for role in roles_with_pods(report.live, view.pods)
        },
    }


def _role(
    group: str, role: RolePods, judged: RoleHealth, view: View, held: bool
) -> dict[str, Any]:
    kind = text(view.details.workloads.get(role.name), "kind")
    workload = child(group, role.name)
    shown: dict[str, Any] = {
        "ready": f"{judged.ready}/{judged.desired}",
        "updated": f"{judged.updated}/{judged.desired}",
        "state": judged.state.value,
        "cause": judged.cause,
        "held": str(held).lower(),
        "pods-per-replica": str(role.size),
        "workload": f"{kind}/{workload}" if kind else "",
        "start-after": ", ".join(entries(role.spec, "dependencies")),
        "pods-not-ready": _pods(role, view),
        "events": _events(workload, view.details.events),
    }
    return {key: value for key, value in shown.items() if value}


def _pods(role: RolePods, view: View) -> dict[str, str]:
    waiting = [pod for pod in role.pods if not is_ready(pod)]
    return {
        name_of(pod): "leaving" if is_leaving(pod) else cause(pod, view.details.events).text
        for pod in waiting[:_MAX_LINES]
    }


def _events(workload: str, events: Sequence[Tree]) -> dict[str, str]:
    """The latest warnings about the role's workload, instances and pods."""
    own = [e for e in events if f"{_about(e)}-".startswith(f"{workload}-")]
    own.sort(key=lambda e: text(e, "lastTimestamp") or text(e, "eventTime"))
    return {str(i): _event(e) for i, e in enumerate(own[-_MAX_LINES:], start=1)}


def _event(event: Tree) -> str:
    message = " ".join(text(event, "message").split())
    return f"{text(event, 'reason')} {_about(event)}: {message}"


def _about(event: Tree) -> str:
    return text(event, "involvedObject", "name")
