# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Orders of several steps: what the group's state allows to take next. Pure.

No hook waits: a restart in dependency order and a migration go on at the hook that sees the step
before finished, which the watcher brings about.
"""

from collections.abc import Mapping
from dataclasses import replace

import regroup
from causes import Pod
from health import State
from holds import Holds
from manifests import groupset
from report import Report
from rolepods import roles_with_pods
from tree import Tree, entries, number, roles_by_name
from workloads import live_kind


def advance(holds: Holds, report: Report) -> Holds:
    """The holds after every step that is due now; the same ones where none is.

    Args:
        holds: what is held.
        report: what this hook found with them.
    """
    if report.fault:
        return holds
    if report.live is None:
        return replace(holds, pin=0, queued={}, migrating=(), emptied=False)
    if holds.pin and not report.pin[0]:
        # The group that was gone back in is another one now, made anew from the role charms.
        holds = replace(holds, pin=0)
    return _migrate(_restart(regroup.advance(holds, report), report), report)


def _restart(holds: Holds, report: Report) -> Holds:
    """Let go each restart whose dependencies are well and do not wait for one themselves.

    RBG looks at a dependency's readiness only, and a rollout leaves that for a moment: in one
    apply the dependants would restart at once.
    """
    if not holds.queued:
        return holds
    live = roles_by_name(report.live)
    well = {h.name for h in report.health if h.state is State.READY} - holds.queued.keys()
    due = {
        role: stamp
        for role, stamp in holds.queued.items()
        if role in live and well.issuperset(before(role, live))
    }
    rest = {r: s for r, s in holds.queued.items() if r in live and r not in due}
    return replace(holds, queued=rest, restarts={**holds.restarts, **due})


def before(role: str, live: Mapping[str, Tree]) -> list[str]:
    """The roles, of those on the cluster, that have to be well before a role starts.

    Args:
        role: its name.
        live: role name → entry.
    """
    found: list[str] = []
    todo = list(entries(live[role], "dependencies"))
    while todo:
        other = todo.pop(0)
        if other in live and other not in found and other != role:
            found.append(other)
            todo += entries(live[other], "dependencies")
    return found


def _migrate(holds: Holds, report: Report) -> Holds:
    """Empty a role, switch it once its pods are gone, and go on when it is well (trap A2)."""
    if not holds.migrating or report.live is None:
        return holds
    first, *rest = holds.migrating
    live = roles_by_name(report.live)
    done = replace(holds, migrating=tuple(rest), emptied=False)
    if first not in live:
        return done
    if live_kind(live[first], report.version) == "RoleInstanceSet":
        state = next((h.state for h in report.health if h.name == first), None)
        return done if state is State.READY else holds
    count = number(live[first], "replicas")
    if holds.emptied and count and not report.problems:
        return done  # its charm says now that it is to stay what it is
    if not (holds.emptied or count or report.applied or _pods(first, report)):
        return replace(holds, emptied=True)
    return holds


def _pods(role: str, report: Report) -> tuple[Pod, ...]:
    groups = groupset.children(report.live or {})
    found = [r for group in groups for r in roles_with_pods(group, report.view.pods)]
    return tuple(pod for r in found if r.name == role for pod in r.pods)
