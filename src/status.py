# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""One line for `juju status`, the point first: the table cuts it at 120 characters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ops

from health import RoleHealth, State
from problems import Problem
from report import Report

_SEVERITY = (State.BLOCKED, State.UPDATING, State.WAITING)
_KIND = {
    State.BLOCKED: "blocked",
    State.UPDATING: "maintenance",
    State.WAITING: "waiting",
}


@dataclass(frozen=True)
class Line:
    """A status: its kind as Juju names it, and one line."""

    kind: str
    message: str

    @property
    def status(self) -> ops.StatusBase:
        """The same for ops."""
        return ops.StatusBase.from_name(self.kind, self.message)


def line(application: str, report: Report, *, roles_related: bool = True) -> Line:
    """The one status of the group, in a fixed order of what comes first.

    Args:
        application: this charm's application.
        report: what the hook found.
        roles_related: whether any role is related.
    """
    problems, fault = report.problems, report.fault
    config = [p for p in problems if p.of_config]
    if config:
        return _blocked(config[0], problems)
    if fault and fault.blocked:
        return Line("blocked", fault.message)
    if problems:
        return _blocked(problems[0], problems)
    if fault:
        return Line("waiting", fault.message)
    if not roles_related and not any(role.desired for role in report.health):
        command = f"juju integrate <role charm>:role {application}:engine"
        return Line("blocked", f"no role related; run `{command}`")
    found = _of_health([_mark(role, report) for role in report.health])
    if report.view.surplus and found.kind == "active":
        found = replace(found, kind="maintenance")
    return replace(found, message=f"{_groups(report)}{found.message}{_pin(*report.pin)}")


def _groups(report: Report) -> str:
    """How many groups the counts are of; nothing of a group that never was one of several."""
    plain = not (report.groups or report.groups_held or report.replacing or report.view.surplus)
    if plain or not report.health:
        return ""
    held = " (held)" if report.groups_held else ""
    if report.replacing:
        return f"waits to become {report.asked} group{'' if report.asked == 1 else 's'}{held}: "
    more = f", {report.view.surplus} more going" if report.view.surplus else ""
    count = report.groups or 1
    return f"{count} group{'' if count == 1 else 's'}{held}{more}: "


def _pin(revision: int, waiting: int) -> str:
    if not revision:
        return ""
    changes = f"{waiting} change{'' if waiting == 1 else 's'} waiting"
    return f"; held at revision {revision}, {changes}; run rollout-resume"


def _blocked(first: Problem, problems: Sequence[Problem]) -> Line:
    more = len(problems) - 1
    also = f" ({more} more in status-detail)" if more else ""
    return Line("blocked", f"{first}{also}")


def _of_health(health: Sequence[RoleHealth]) -> Line:
    if not health:
        return Line("waiting", "waiting for the group to be applied")
    ready = ", ".join(r.text for r in health if r.state is State.READY)
    troubled = [r for state in _SEVERITY for r in health if r.state is state]
    if not troubled:
        return Line("active", ready)
    parts = [r.text for r in troubled] + ([ready] if ready else [])
    return Line(_KIND[troubled[0].state], "; ".join(parts))


def _mark(role: RoleHealth, report: Report) -> RoleHealth:
    known = {"held": report.held, "leaving": report.leaving}
    said = ", ".join(mark for mark, names in known.items() if role.name in names)
    if not said:
        return role
    if role.state is State.READY:
        return replace(role, cause=f"{role.cause}, {said}" if role.cause else said)
    return replace(role, cause=f"{role.cause} ({said})")
