"""The relation tools and goal-state, as one hook sees them.

Juju documents: "Hook command" (reference), the pages of ``relation-*`` and ``goal-state``.
"""

from __future__ import annotations

from typing import Any

import yaml

from .errors import ToolError
from .records import Event, Relation, Unit, World
from .secrets import SecretTools


class RelationTools(SecretTools):
    """The databags as one hook sees them; what it writes lands with `commit_relations`."""

    def __init__(self, world: World, unit: Unit, event: Event):
        super().__init__(world, unit)
        self.event = event
        self._bags: dict[tuple[int, str], dict[str, str]] = {}

    def commit_relations(self) -> None:
        """Land what the hook wrote into databags."""
        for (number, owner), bag in self._bags.items():
            relation = self.world.relations.get(number)
            changed = relation and relation.bags.get(owner, {}) != bag
            if relation and changed and relation.dead:
                # seen on a real Juju 4 (the cause inferred): after somebody's --force a hook
                # that writes into the dead relation is repeated again and again
                raise ToolError(f"committing relation {number}: relation not found")
        for (number, owner), bag in self._bags.items():
            self.world.relations[number].write(owner, bag)

    def _relation(self, options: dict[str, str]) -> Relation:
        given = options.get("r") or options.get("relation")
        if not given:
            if self.event.relation is None:
                raise ToolError("no relation id specified")
            return self.event.relation
        endpoint, _, number = given.rpartition(":")
        relation = self.world.relations.get(int(number)) if number.isdigit() else None
        if relation is None or relation not in self._related():
            raise ToolError(f'invalid value "{given}" for option -r: relation not found')
        if endpoint and relation.endpoints[self.unit.app.name] != endpoint:
            raise ToolError(f'invalid value "{given}" for option -r: relation not found')
        return relation

    def _related(self) -> list[Relation]:
        # seen on a real Juju 4: there in departed and broken, gone in stop and remove
        ends = self.unit.ends
        relations = self.world.relations_of(self.unit.app.name)
        return [r for r in relations if r.id in ends and not ends[r.id].broken]

    def relation_ids(self, _: dict[str, str], rest: list[str]) -> list[str]:  # noqa: D102
        name = self.unit.app.name
        return [f"{rest[0]}:{r.id}" for r in self._related() if r.endpoints[name] == rest[0]]

    def relation_list(self, options: dict[str, str], _: list[str]) -> str | list[str]:  # noqa: D102
        relation = self._relation(options)
        if "app" in options:
            return relation.other(self.unit.app.name)
        members = set(self.unit.ends[relation.id].seen)
        if relation is self.event.relation and self.event.remote:
            members.add(self.event.remote)
            if self.event.departing:  # "relation-departed": the unit is no longer listed
                members.discard(self.event.remote)
        return sorted(members)

    def _bag(self, relation: Relation, owner: str) -> dict[str, str]:
        return self._bags.get((relation.id, owner), relation.bags.get(owner, {}))

    def relation_get(self, options: dict[str, str], rest: list[str]) -> Any:  # noqa: D102
        relation = self._relation(options)
        key = rest[0] if rest else "-"
        own = self.unit.app.name
        who = rest[1] if len(rest) > 1 else self.event.remote
        if not who and "app" not in options:
            raise ToolError("no unit id specified")
        app = who.partition("/")[0] or relation.other(own)
        if app not in relation.endpoints:
            raise ToolError("permission denied")
        if "app" in options:
            # "relation-get": only the leader reads its own application's databag, except that
            # a peer relation's is for every unit.
            if app == own and not relation.peer and not self.unit.leader:
                raise ToolError("permission denied")
            who = app
        bag = self._bag(relation, who)
        return dict(bag) if key == "-" else bag.get(key)

    def relation_set(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        relation = self._relation(options)
        owner = self.unit.name
        if "app" in options:
            if not self.unit.leader:
                raise ToolError("cannot write relation settings")
            owner = self.unit.app.name
        data: dict[str, object] = yaml.safe_load(options["file"]) if "file" in options else {}
        data |= dict(pair.split("=", 1) for pair in rest)
        bag = dict(self._bag(relation, owner))
        for key, value in data.items():
            if not isinstance(value, str):
                raise ToolError(f"cannot unmarshal {value!r} of {key!r} into string")
            bag[key] = value
            if not value:
                del bag[key]
        self._bags[relation.id, owner] = bag

    def relation_model_get(self, options: dict[str, str], _: list[str]) -> Any:  # noqa: D102
        self._relation(options)
        return {"uuid": self.world.uuid}

    def goal_state(self, _: dict[str, str], __: list[str]) -> Any:  # noqa: D102
        if self.event.hook == "remove" and "no-goal-state-in-remove" in self.world.quirks:
            raise ToolError(f'application "{self.unit.app.name}" not found')

        def goals(app: str) -> dict[str, Any]:
            units = self.world.apps[app].units if app in self.world.apps else []
            return {u.name: goal("dying" if u.dying else u.status.status) for u in units}

        def goal(status: str) -> dict[str, str]:
            return {"status": status, "since": "2026-01-01T00:00:00Z"}

        own = self.unit.app.name
        relations: dict[str, dict[str, Any]] = {}
        for relation in self._related():
            if not relation.peer:
                app = relation.other(own)
                related = relations.setdefault(relation.endpoints[own], {})
                related |= {app: goal("joined"), **goals(app)}
        return {"units": goals(own), "relations": relations}
