# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""When a role whose relation ended leaves the group.

A charm cannot tell by its relations alone (seen on Juju 4). Scaling to 0 and removing the
application break every relation, while the user still wants the pods or Kubernetes collects them
by itself: our own unit is then `dying` in goal-state, or the application unknown. A unit that
starts has no relation before its relation-created. And a role charm that is replaced by another
ends its relation before the next one is made: its pods are to roll, not to go.
"""

import time
from collections.abc import Set

import ops
from ops import hookcmds

from juju import Memory

GRACE = 15
"""Seconds from relation-broken until the role leaves: the time to integrate another charm."""


class Departures:
    """What this hook knows of roles that have no relation any more."""

    def __init__(self, unit: ops.Unit, memory: Memory, broken: str, *, idle: bool):
        """Nothing is asked yet.

        Args:
            unit: our own.
            memory: what the application remembers.
            broken: the role whose relation-broken this hook is, if it is one.
            idle: whether this hook is update-status: every relation-created came before.
        """
        self._unit, self._memory = unit, memory
        self._broken, self._idle = broken, idle
        self._now = time.time()

    def left(self, names: Set[str]) -> set[str]:
        """Which of these roles on the cluster, none of which has a relation, leave now.

        The others stay as they run. A role whose relation-broken was missed leaves once the unit
        is idle.
        """
        leaving = dict(self._memory.leaving)
        unknown = self._now if self._idle else _NEVER
        gone = {n for n in names if leaving.get(n, unknown) <= self._now}
        if not (gone or self._broken in names) or not self._stays():
            return set()
        if self._broken in names:
            self._memory.leaving = {**leaving, self._broken: self._now + GRACE}
        return gone - {self._broken}

    def stay(self, related: Set[str]) -> None:
        """Forget that these ever left: they are related again, by whichever charm.

        Otherwise a unit that starts, and has no relation yet, would take them for gone.
        """
        leaving = self._memory.leaving
        if leaving.keys() & related:
            rest = {name: due for name, due in leaving.items() if name not in related}
            self._memory.leaving = rest

    def _stays(self) -> bool:
        try:
            own = hookcmds.goal_state().units.get(self._unit.name)
        except hookcmds.Error:
            return False
        return own is not None and own.status != "dying"


_NEVER = float("inf")
