# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What a person can do with a running group; every action runs on the leader."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ops

from actions import manifest, migrate, restart, revisions, rollout, scale, standing
from actions.common import Refused
from faults import Fault

if TYPE_CHECKING:
    from charm import RbgCharm

Handler = Callable[["RbgCharm", ops.ActionEvent], dict[str, Any]]

HANDLERS: dict[str, Handler] = {
    "migrate-api": migrate.migrate_api,
    "rollout-diff": revisions.diff,
    "rollout-history": revisions.history,
    "rollout-pause": rollout.pause,
    "rollout-restart": restart.restart,
    "rollout-resume": rollout.resume,
    "rollout-status": standing.rollout_status,
    "rollout-undo": revisions.undo,
    "scale": scale.scale,
    "show-manifest": manifest.show_manifest,
    "status-detail": standing.status_detail,
}


def run(charm: "RbgCharm", event: ops.ActionEvent) -> None:
    """Run the action of an event: its results, or one sentence that says what to do."""
    name = event.handle.kind.removesuffix("_action").replace("_", "-")
    try:
        event.set_results(HANDLERS[name](charm, event))
    except (Refused, Fault) as e:
        if isinstance(e, Refused) and e.results:
            event.set_results(e.results)
        event.fail(str(e))
