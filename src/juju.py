# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Juju's side: read relations, config and our own memory; answer the related role charms."""

import json
from collections.abc import Mapping
from functools import cached_property

import ops

import feedback
import history
from history import Change
from holds import Holds
from inputs import ENDPOINTS, Inputs, RelatedRole, digest
from report import Report

PEERS = "group"


def gather(charm: ops.CharmBase, holds: Holds) -> Inputs:
    """Read every related databag and the config."""
    roles = [
        RelatedRole(endpoint, relation.id, relation.app.name, dict(relation.data[relation.app]))
        for endpoint in ENDPOINTS
        for relation in charm.model.relations[endpoint]
    ]
    roles.sort(key=lambda r: (ENDPOINTS.index(r.endpoint), r.application, r.relation_id))
    return Inputs(charm.app.name, charm.model.name, dict(charm.config), tuple(roles), holds)


def groups(charm: ops.CharmBase) -> int:
    """How many groups the config asks for; the leader may hold another number."""
    return Inputs(charm.app.name, charm.model.name, dict(charm.config), ()).groups


class Memory:
    """What the application remembers in its peer databag. Only the leader may ask."""

    def __init__(self, charm: ops.CharmBase):
        self._charm = charm

    @cached_property
    def _bag(self) -> ops.RelationDataContent | None:
        peers = self._charm.model.get_relation(PEERS)
        return peers.data[self._charm.app] if peers else None

    @property
    def there(self) -> bool:
        """Whether the peer relation is there; before it is made, and after, nothing is known."""
        return self._bag is not None

    def _read(self, key: str) -> str:
        return self._bag.get(key, "") if self._bag is not None else ""

    def _write(self, key: str, value: str) -> None:
        if self._bag is not None and self._bag.get(key, "") != value:
            self._bag[key] = value

    @property
    def holds(self) -> Holds:
        """What actions hold."""
        return Holds.parse(self._read("holds"))

    @holds.setter
    def holds(self, holds: Holds) -> None:
        self._write("holds", str(holds))

    @property
    def bound(self) -> list[str]:
        """Autoscaled roles whose scaling adapter was seen to work."""
        return self._read("bound").split()

    @bound.setter
    def bound(self, roles: list[str]) -> None:
        self._write("bound", " ".join(roles))

    @property
    def leaving(self) -> dict[str, float]:
        """Roles whose relation ended → seconds since the epoch from when on they leave."""
        try:
            return {role: float(due) for role, due in json.loads(self._read("leaving")).items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    @leaving.setter
    def leaving(self, roles: Mapping[str, float]) -> None:
        self._write("leaving", json.dumps(dict(roles), sort_keys=True) if roles else "")

    @property
    def history(self) -> list[Change]:
        """What was applied, and why, the oldest first."""
        return history.parse(self._read("history"))

    def remember(self, change: Change) -> None:
        """Add a change to the history."""
        self._write("history", history.add(self._read("history"), change))

    @property
    def api(self) -> str:
        """RBG API version seen last; empty for the newest, which is tried first anyway."""
        return self._read("api")

    @api.setter
    def api(self, version: str) -> None:
        self._write("api", "" if version == "v1alpha2" else version)

    @property
    def answered(self) -> str:
        """Digest of what the role charms were told last."""
        return self._read("answered")

    @answered.setter
    def answered(self, value: str) -> None:
        self._write("answered", value)


def answer(charm: ops.CharmBase, memory: Memory, inputs: Inputs, report: Report) -> None:
    """Tell each role charm where its role stands, if anything about it is new (leader only)."""
    config_problem = any(problem.of_config for problem in report.problems)
    if (report.fault and memory.answered) or config_problem:
        # Nothing was learnt: what they know is the best there is. To take back the model or the
        # other roles' hosts would make them publish other pods.
        return
    memory.api = report.version
    news = digest([inputs.fingerprint, report.summary])
    if memory.answered == news:
        return
    # The schema is imported only here: an idle hook does without pydantic.
    import config
    from charms.rbg_k8s.v0.rbg_role import RoleRequirer, RoleState

    settings, _ = config.load(inputs.application, inputs.config)
    model = settings.settings.model_dump(mode="json")
    states = feedback.states(inputs, report, model)
    for endpoint in ENDPOINTS:
        for relation in charm.model.relations[endpoint]:
            state = RoleState.model_validate(states[relation.id])
            RoleRequirer(relation, charm.app).answer(state)
    if report.live:
        charm.unit.set_workload_version(f"RBG {report.version}")
    memory.answered = news


def cause(event: ops.EventBase) -> str:
    """Whose wish a change made in this hook is, e.g. "relation engine (prefill)"."""
    if isinstance(event, ops.RelationEvent):
        application = event.relation.app.name if event.relation.app else "gone"
        return f"relation {event.relation.name} ({application})"
    if isinstance(event, (ops.PebbleNoticeEvent, ops.PebbleCheckEvent)):
        return "watcher"
    name = event.handle.kind.replace("_", "-")
    if isinstance(event, ops.ActionEvent):
        return f"action {name.removesuffix('-action')}"
    return {"config-changed": "config", "upgrade-charm": "charm refresh"}.get(name, name)
