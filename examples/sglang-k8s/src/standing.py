# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the group says of this role, as a unit status."""

import ops

from charms.rbg_k8s.v0.rbg_role import RoleState, RoleStatus

_KIND = {
    RoleStatus.READY: ops.ActiveStatus,
    RoleStatus.UPDATING: ops.MaintenanceStatus,
    RoleStatus.WAITING: ops.WaitingStatus,
    RoleStatus.UNKNOWN: ops.WaitingStatus,
    RoleStatus.BLOCKED: ops.BlockedStatus,
}


def standing(state: RoleState) -> ops.StatusBase:
    """E.g. Active `engine of llama: 2/2 ready`."""
    count = f"{state.ready}/{state.desired} ready"
    reason = f", {state.reason}" if state.reason else ""
    return _KIND[state.state](f"{state.role} of {state.group}: {count}{reason}")
