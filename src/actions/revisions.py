# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`rollout-history`, `rollout-diff`, `rollout-undo`: RBG's revisions, and going back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ops
from pydantic import Field

import revisions
from actions.common import Params, Refused, Standing, cut, hold, params, standing
from capabilities import Api
from history import causes
from manifests.orders import stamp_of
from names import API_FEATURES
from revisions import Revision
from tree import Tree, annotation, roles_by_name
from workloads import live_kind

if TYPE_CHECKING:
    from charm import RbgCharm


class RolloutHistory(Params):
    """Show the group's revisions."""


class RolloutDiff(Params):
    """Compare a revision with the current one."""

    revision: int = Field(ge=1)


class RolloutUndo(Params):
    """Go back to a revision and stay there."""

    revision: int | None = Field(None, ge=1)


def history(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Every revision that RBG keeps: when, why and what."""
    params(RolloutHistory, event)
    now = standing(charm, event)
    found = _revisions(charm, now)
    why = causes(now.memory.history, [r.created for r in found])
    shown: dict[str, Any] = {}
    for before, revision, cause in zip([None, *found[:-1]], found, why, strict=True):
        shown[str(revision.number)] = {
            "time": revision.created,
            "cause": cause or "unknown",
            "changed": revisions.summary(before, revision),
            "current": str(revision is found[-1]).lower(),
        }
    return {"revisions": shown, "held": str(now.holds.pin or "none")}


def diff(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Unified diff from a revision to the current one."""
    said = params(RolloutDiff, event)
    now = standing(charm, event)
    found = _revisions(charm, now)
    old, current = _find(found, said.revision), found[-1]
    names = (f"revision {old.number}", f"revision {current.number} (current)")
    text = revisions.diff(_listed(old), _listed(current), names)
    return {"revision": str(old.number), "current": str(current.number), "diff": cut(text)}


def undo(charm: "RbgCharm", event: ops.ActionEvent) -> dict[str, Any]:
    """Go back to a revision, by default the one before, and hold the group there."""
    said = params(RolloutUndo, event)
    now = standing(charm, event)
    found = _revisions(charm, now)
    if now.holds.migrating:
        going = ", ".join(now.holds.migrating)
        raise Refused(f"{going} is being migrated; wait until that is over")
    live = roles_by_name(now.live)
    wanted = _wanted(found, said.revision, live)
    back = {name: role for name, role in wanted.roles.items() if name in live}
    if wanted.legacy and "v1alpha1" not in now.live["apiVersion"]:
        raise Refused(
            f"revision {wanted.number} was made for RBG 0.6 or older; choose a later one"
        )
    restarts = {name: stamp_of(role) for name, role in back.items()}
    for name, role in back.items():
        _check_workload(name, live[name], role)
    kept = {name: stamp for name, stamp in now.holds.restarts.items() if name not in back}
    holds = replace(
        now.holds,
        pin=wanted.number,
        paused=tuple(name for name in now.holds.paused if name not in back),
        steps={},
        queued={},
        restarts={**kept, **{name: stamp for name, stamp in restarts.items() if stamp}},
    )
    hold(charm, now, holds)
    return {
        "revision": str(wanted.number),
        "roles": ", ".join(sorted(back)),
        "changes-waiting": str(charm.report.pin[1]),
        "status": charm.line.message,
    }


def _wanted(found: list[Revision], said: int | None, live: Mapping[str, Tree]) -> Revision:
    """The revision to go back to: the one that was said, else the latest that does not run."""
    earlier = [r for r in found if not revisions.runs(r, live)]
    if said is None and not earlier:
        raise Refused("there is no revision before the current one")
    wanted = earlier[-1] if said is None else _find(found, said)
    if wanted not in earlier:
        raise Refused(f"revision {wanted.number} is what runs already; nothing to undo")
    return wanted


def _check_workload(name: str, live: Tree, back: Tree) -> None:
    """RBG loses the pods of a StatefulSet that becomes a RoleInstanceSet (trap A2)."""
    kinds = (live_kind(live, "v1alpha2"), live_kind(back, "v1alpha2"))
    if "template" not in live and kinds == ("StatefulSet", "RoleInstanceSet"):
        raise Refused(f"{name} runs as a StatefulSet since; run migrate-api first")


def _revisions(charm: "RbgCharm", now: Standing) -> list[Revision]:
    api = Api.parse(annotation(now.live, API_FEATURES))
    if api is not None and not api.keeps_revisions:
        raise Refused("this RBG keeps no revisions; update it to 0.5 or later")
    found = revisions.of_group(charm.cluster.revisions(now.live), now.live)
    if not found:
        raise Refused("RBG has made no revision of this group yet; run the action again later")
    return found


def _find(found: list[Revision], wanted: int) -> Revision:
    for revision in found:
        if revision.number == wanted:
            return revision
    known = ", ".join(str(r.number) for r in found)
    raise Refused(f"revision: {wanted} is not kept; RBG has {known}")


def _listed(revision: Revision) -> list[Any]:
    return [revision.roles[name] for name in sorted(revision.roles)]
