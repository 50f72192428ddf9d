#!/usr/bin/env python3
# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""SGLang as one role of an inference group: engine, decoder or router."""

import ops
from pydantic import ValidationError

from charms.rbg_k8s.v0.rbg_role import RoleDataError, RoleProvider, RoleSpec
from options import Options, first_error
from sglang import MisconfiguredError, NotReadyError, role_spec, version_of
from standing import standing


class SglangCharm(ops.CharmBase):
    """Says what the role's pods look like, and shows where the role stands."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.role = RoleProvider(self, "role")
        self._news: ops.StatusBase | None = None
        """What this hook knows better than the group, whose word is older."""
        for event in (
            self.role.on.role_changed,
            self.on.config_changed,
            self.on.leader_elected,
            self.on.update_status,  # a real Juju was seen to swallow relation-changed
            self.on.upgrade_charm,
        ):
            framework.observe(event, self._on_change)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)

    def _spec(self) -> RoleSpec:
        """The role to be published.

        Raises:
            NotReadyError: something comes by itself.
            MisconfiguredError: a person must change something.
        """
        try:
            options = self.load_config(Options)
        except ValidationError as e:
            raise MisconfiguredError(first_error(e)) from None
        if not self.role.related:
            command = f"juju integrate {self.app.name}:role <group>:engine"
            raise MisconfiguredError(f"not related to a group; run `{command}`")
        if self.role.state is None:
            raise NotReadyError(f"waiting for group {self._relation.app.name} to answer")
        return role_spec(options, self.role.state)

    @property
    def _relation(self) -> ops.Relation:
        # A relation whose other side was removed by force stays; the newest is the real one.
        return max(self.model.relations["role"], key=lambda relation: relation.id)

    def _on_change(self, _: ops.EventBase) -> None:
        if not self.unit.is_leader():
            return
        try:
            spec = self._spec()
        except (NotReadyError, MisconfiguredError):
            return  # the status says why; what was published before stays
        if not self._relation.data[self.app]:
            self._news = ops.WaitingStatus("published, waiting for the group to take it up")
        try:
            self.role.publish(spec)
        except RoleDataError as e:
            self._news = ops.BlockedStatus(f"cannot be published: {e}")
        self.unit.set_workload_version(version_of(spec))

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(self._status())

    def _status(self) -> ops.StatusBase:
        try:
            self._spec()
        except NotReadyError as e:
            return ops.WaitingStatus(str(e))
        except MisconfiguredError as e:
            return ops.BlockedStatus(str(e))
        state = self.role.state
        assert state is not None  # else there were no specification
        return self._news or standing(state)


if __name__ == "__main__":  # pragma: nocover
    ops.main(SglangCharm)
