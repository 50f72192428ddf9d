# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What one hook found: the source of status, relation feedback and action results."""

from dataclasses import dataclass
from typing import Any

from faults import Fault
from health import RoleHealth
from problems import Problem
from tree import Tree, number


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
    """

    live: Tree | None = None
    health: tuple[RoleHealth, ...] = ()
    problems: tuple[Problem, ...] = ()
    fault: Fault | None = None
    version: str = "v1alpha2"
    held: frozenset[str] = frozenset()

    @property
    def summary(self) -> list[Any]:
        """All of it that related charms are told, as JSON-like data."""
        generation = number(self.live, "metadata", "generation", default=-1)
        health = [[h.name, h.desired, h.ready, h.updated, h.state, h.cause] for h in self.health]
        return [generation, self.version, health, list(map(str, self.problems)), str(self.fault)]
