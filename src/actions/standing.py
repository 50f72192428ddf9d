# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`status-detail` and `rollout-status`: how the group stands, in full."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ops
from pydantic import Field

from actions.common import Params, Refused, params, remembered, standing
from details import role_details, rollout_details
from health import RoleHealth, State

if TYPE_CHECKING:
    from charm import RbgCharm

MAX_WAIT = 1800
"""Seconds `rollout-status` may wait: other hooks of the unit wait behind it."""


class StatusDetail(Params):
    """Show every role with its pods, causes and problems."""


class RolloutStatus(Params):
    """Show how far the rollout is."""

    wait: int = Field(0, ge=0, le=MAX_WAIT)


def status_detail(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Show everything that `juju status` has no room for."""
    params(StatusDetail, event)
    inputs, _ = remembered(charm, event)
    charm.detailed = True
    report = charm.report
    if report.fault and report.live is None:
        raise report.fault
    problems = {str(i): str(p) for i, p in enumerate(report.problems, start=1)}
    return {
        "status": f"{charm.line.kind}: {charm.line.message}",
        **role_details(report, charm.holds, inputs),
        "problems": problems,
    }


def rollout_status(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Show how far each role is; with `wait`, until all are or the time is over."""
    said = params(RolloutStatus, event)
    standing(charm, event)
    charm.detailed = True
    report = charm.report
    if report.fault:
        raise report.fault
    end = time.monotonic() + said.wait
    shown = ""
    while said.wait and not complete(report.health):
        line = progress(report.health)
        if line != shown:
            event.log(line)
            shown = line
        left = int(end - time.monotonic())
        if left < 1:
            break
        if charm.cluster.pods_change(left):
            charm.look_again()
            report = charm.report
            if report.fault:
                raise report.fault
    done = complete(report.health)
    results = {
        "complete": str(done).lower(),
        "roles": rollout_details(report),
        "status": charm.line.message,
    }
    if said.wait and not done:
        waited = f"not complete after {said.wait} s"
        raise Refused(f"{waited}: {progress(report.health)}", results)
    return results


def complete(health: Sequence[RoleHealth]) -> bool:
    """Whether every role is ready and has all the new pods it is to have."""
    return all(role.state is State.READY and not role.behind for role in health)


def progress(health: Sequence[RoleHealth]) -> str:
    """One line about the roles that are not there yet."""
    waiting = [role for role in health if not complete([role])]
    return "; ".join(role.text for role in waiting)
