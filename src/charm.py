#!/usr/bin/env python3
# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Run an LLM inference group: related role charms become one RoleBasedGroup."""

import logging
from dataclasses import replace
from functools import cached_property

import ops

import juju
import sidecar
from adapters import bind
from cluster import Cluster
from departures import GRACE, Departures
from history import Change
from holds import Holds
from inputs import ENDPOINTS
from manifests import groupset
from progress import advance
from reconcile import observe, reconcile
from report import Report
from status import Line, line


class RbgCharm(ops.CharmBase):
    """Wires Juju's events to one reconcile; every hook ends in a truthful status."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self._silent = False
        self._broken, self._idle, self._starting = "", False, False
        self._cause = "update-status"
        self.detailed = False
        watcher = self.on[sidecar.CONTAINER]
        for event in (self.on.config_changed, self.on.upgrade_charm, watcher.pebble_ready):
            framework.observe(event, self._on_setup)
        for event in (
            self.on.leader_elected,
            watcher.pebble_custom_notice,
            watcher.pebble_check_failed,
            watcher.pebble_check_recovered,
            *(self.on[e].relation_changed for e in ENDPOINTS),
        ):
            framework.observe(event, self._on_change)
        # Seen on Juju 4: every relation-created of a new unit comes before its leader-elected.
        for event in (self.on.install, *(self.on[e].relation_created for e in ENDPOINTS)):
            framework.observe(event, self._on_starting)
        for endpoint in ENDPOINTS:
            framework.observe(self.on[endpoint].relation_broken, self._on_relation_broken)
        framework.observe(self.on.update_status, self._on_update_status)
        framework.observe(self.on.stop, self._on_teardown)
        framework.observe(self.on.remove, self._on_teardown)
        framework.observe(self.on["migrate-api"].action, self._on_action)
        framework.observe(self.on["rollout-diff"].action, self._on_action)
        framework.observe(self.on["rollout-history"].action, self._on_action)
        framework.observe(self.on["rollout-pause"].action, self._on_action)
        framework.observe(self.on["rollout-restart"].action, self._on_action)
        framework.observe(self.on["rollout-resume"].action, self._on_action)
        framework.observe(self.on["rollout-status"].action, self._on_action)
        framework.observe(self.on["rollout-undo"].action, self._on_action)
        framework.observe(self.on["scale"].action, self._on_action)
        framework.observe(self.on["show-manifest"].action, self._on_action)
        framework.observe(self.on["status-detail"].action, self._on_action)
        framework.observe(self.on.collect_app_status, self._on_collect_status)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster, as this application may see it."""
        return Cluster(self.app.name, self.model.name)

    @cached_property
    def report(self) -> Report:
        """What this hook did and found; made once, whoever asks first."""
        memory = juju.Memory(self) if self.unit.is_leader() else None
        if memory is None or not memory.there:
            # Without the peer relation (a unit that starts or goes) no hold is known: a count
            # applied now would be the role charm's, and its pods would go.
            return observe(self.cluster, juju.groups(self))
        applied = ""
        while True:
            inputs = juju.gather(self, memory.holds)
            self.departures.stay({role.name for role in inputs.roles})
            report = reconcile(inputs, self.cluster, memory.api, self.left, detailed=self.detailed)
            if report.revised:
                memory.remember(Change(report.applied, self._cause))
            applied = report.applied or applied
            holds = advance(inputs.holds, report)
            if holds == inputs.holds:
                break
            memory.holds = holds
        report = replace(report, applied=applied, leaving=frozenset(memory.leaving))
        if report.live and not report.fault:
            memory.bound = bind(self.cluster, report.live, memory.bound)
        juju.answer(self, memory, inputs, report)
        return report

    @property
    def holds(self) -> Holds:
        """What actions hold now (leader only)."""
        return juju.Memory(self).holds

    def look_again(self) -> None:
        """Forget what this hook found, since something was changed or waited for."""
        vars(self).pop("report", None)

    @cached_property
    def departures(self) -> Departures:
        """When roles without a relation leave (leader only)."""
        memory, starting = juju.Memory(self), self._starting
        return Departures(self.unit, memory, self._broken, idle=self._idle, starting=starting)

    def left(self, names: set[str]) -> set[str]:
        """Which of these roles without a relation leave now."""
        return self.departures.left(names)

    @property
    def line(self) -> Line:
        """The status of the group, for the application and for every unit."""
        related = not self.unit.is_leader() or any(self.model.relations[e] for e in ENDPOINTS)
        return line(self.app.name, self.report, roles_related=related)

    @property
    def watcher(self) -> ops.Container:
        """The sidecar."""
        return self.unit.get_container(sidecar.CONTAINER)

    def place_watcher(self) -> None:
        """Have the watcher look at what the group is: one, or a set of them."""
        kind = "rolebasedgroupsets" if groupset.is_set(self.report.live) else "rolebasedgroups"
        sidecar.place(self.watcher, self.app.name, self.model.name, kind)

    def _on_setup(self, event: ops.EventBase) -> None:
        self._on_change(event)
        self.place_watcher()

    def _on_change(self, event: ops.EventBase) -> None:
        self._cause = juju.cause(event)
        self.report  # noqa: B018 - made on first use

    def _on_starting(self, event: ops.EventBase) -> None:
        self._starting = True
        self._on_change(event)

    def _on_update_status(self, _: ops.EventBase) -> None:
        self._idle = True
        self.report  # noqa: B018 - made on first use

    def _on_relation_broken(self, event: ops.RelationBrokenEvent) -> None:
        # The remote application is not always named here (seen on Juju 4, scaling to 0).
        remote = event.relation.app.name if event.relation.app else ""
        self._broken = remote if event.relation.name == "role" else event.relation.name
        self._cause = juju.cause(event)
        if self._broken in self.report.leaving:
            sidecar.wake_later(self.watcher, GRACE + 1)

    def _on_teardown(self, _: ops.EventBase) -> None:
        # Kubernetes collects the group with the application; scaling to 0 must not touch it.
        self._silent = True

    def _on_collect_status(self, event: ops.CollectStatusEvent) -> None:
        if not self._silent:
            event.add_status(self.line.status)

    def _on_action(self, event: ops.ActionEvent) -> None:
        import actions  # with pydantic and the schema, which an idle hook does without

        self._cause = juju.cause(event)
        actions.run(self, event)


if __name__ == "__main__":  # pragma: nocover
    # Each record is a juju-log process; those of ops at DEBUG say what Juju's own log says.
    logging.disable(logging.DEBUG)
    ops.main(RbgCharm)
