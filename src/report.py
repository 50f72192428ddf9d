# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What one hook found: the source of status, relation feedback and action results."""

from dataclasses import dataclass, field
from typing import Any

from faults import Fault
from health import RoleHealth
from look import View
from manifests import groupset
from names import PIN
from problems import Problem
from tree import Tree, annotation, number


@dataclass(frozen=True)
class Report:
    """What one hook found, for status, relation feedback and actions.

    Attributes:
        live: the group on the cluster; None where there is none (or it could not be read).
        health: of every role on the cluster.
        problems: what a person must put right, in a fixed order.
        fault: what kept the charm from its work on the cluster.
        version: RBG API version in use.
        held: names of roles whose replicas an action holds.
        view: the pods behind `health`, with workloads and events where they were read.
        applied: when this hook changed the group, by the API server's clock; "" where it did not.
        revised: whether more than a count changed, so that RBG makes a revision.
        leaving: names of roles that leave soon, unless another charm is integrated.
        replacing: whether a group of the other kind is to go, or went without what follows it.
        asked: how many groups are asked for; 0 where that is not known.
        groups_held: whether an action holds that number.
    """

    live: Tree | None = None
    health: tuple[RoleHealth, ...] = ()
    problems: tuple[Problem, ...] = ()
    fault: Fault | None = None
    version: str = "v1alpha2"
    held: frozenset[str] = frozenset()
    view: View = field(default_factory=View)
    applied: str = ""
    revised: bool = False
    leaving: frozenset[str] = frozenset()
    replacing: bool = False
    asked: int = 0
    groups_held: bool = False

    @property
    def groups(self) -> int:
        """How many groups there are to be; 0 where there is no set of them."""
        return groupset.count(self.live) if groupset.is_set(self.live) else 0

    @property
    def pin(self) -> tuple[int, int]:
        """Revision that `rollout-undo` holds (0: none) and how many changes wait behind it."""
        revision, _, waiting = annotation(self.live, PIN).partition(" ")
        return (
            (int(revision), int(waiting)) if revision.isdigit() and waiting.isdigit() else (0, 0)
        )

    @property
    def summary(self) -> list[Any]:
        """All of it that related charms are told, as JSON-like data."""
        generation = number(self.live, "metadata", "generation", default=-1)
        health = [[h.name, h.desired, h.ready, h.updated, h.state, h.cause] for h in self.health]
        return [generation, self.version, health, list(map(str, self.problems)), str(self.fault)]
