"""The commands of ``juju`` about relations and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import JujuError
from .loop import Loop
from .metadata import Endpoint
from .records import Application, Relation, Secret
from .secrets import new_id

Pair = tuple[str, Endpoint]


class Relating(Loop):
    """Relations, databags and the user's secrets."""

    def _add_peers(self, app: Application) -> None:
        existing = {r.endpoints[app.name] for r in self.relations_of(app.name) if r.peer}
        for endpoint in app.charm.endpoints.values():
            if endpoint.role == "peers" and endpoint.name not in existing:
                self._relate(endpoint.interface, {app.name: endpoint.name})

    def _relate(self, interface: str, endpoints: dict[str, str]) -> int:
        self._last_relation += 1
        relation = Relation(self._last_relation, interface, endpoints)
        self.relations[relation.id] = relation
        return relation.id

    def _ends(self, name: str) -> list[Pair]:
        app, _, endpoint = name.partition(":")
        known = self.app(app).charm.endpoints
        if endpoint and endpoint not in known:
            raise JujuError(f'application "{app}" has no "{endpoint}" relation')
        return [(app, known[endpoint])] if endpoint else [(app, e) for e in known.values()]

    def _pairs(self, one: str, other: str) -> list[tuple[Pair, Pair]]:
        """The (requirer, provider) pairs that fit."""
        both = [*((a, b) for a in self._ends(one) for b in self._ends(other))]
        both += [(b, a) for a, b in both]
        return [
            (a, b)
            for a, b in both
            if (a[1].role, b[1].role) == ("requires", "provides")
            and a[1].interface == b[1].interface
        ]

    def integrate(self, one: str, other: str) -> int:
        """Relate two endpoints, ``app`` or ``app:endpoint``; returns the relation's id."""
        pairs = self._pairs(one, other)
        if not pairs:
            raise JujuError("no relations found")
        if len(pairs) > 1:
            options = "; ".join(f'"{a}:{x.name} {b}:{y.name}"' for (a, x), (b, y) in pairs)
            raise JujuError(f'ambiguous relation: "{one} {other}" could refer to {options}')
        ((requirer, required), (provider, provided)) = pairs[0]
        ends = {requirer: required.name, provider: provided.name}
        left, right = f"{requirer}:{required.name}", f"{provider}:{provided.name}"
        refused = f'adding relation between endpoints "{left}" and "{right}": '
        refused += f'cannot add relation "{left}", "{right}": relation {left} {right}: '
        if any(r.endpoints == ends and not r.dead for r in self.relations.values()):
            raise JujuError(f"{refused}already exists")  # also while the old one is dying
        for app, endpoint in pairs[0]:
            used = [r for r in self.relations_of(app) if r.endpoints[app] == endpoint.name]
            if endpoint.limit is not None and len(used) >= endpoint.limit:
                # seen on a real Juju 4
                raise JujuError(
                    f"{refused}establishing a new relation for {app}:{endpoint.name} "
                    f"would exceed its maximum relation limit of {endpoint.limit}"
                )
        return self._relate(required.interface, ends)

    def remove_relation(self, one: str, other: str) -> None:
        """Remove the relation between two applications or endpoints."""
        wanted = [{a: x.name, b: y.name} for (a, x), (b, y) in self._pairs(one, other)]
        found = [r for r in self.relations.values() if r.endpoints in wanted and not r.dead]
        if not found:
            raise JujuError(f'relation "{one} {other}" not found')
        if len(found) > 1:
            raise JujuError(f'ambiguous relation: "{one} {other}"')
        found[0].dying = True
        self._clean_up()

    def _bag_of(self, owner: str, relation: str | int) -> Relation:
        app = owner.partition("/")[0]
        if isinstance(relation, int):
            return self.relations[relation]
        found = [r for r in self.relations_of(app) if r.endpoints[app] == relation]
        if len(found) != 1:
            raise LookupError(f"{app}:{relation} has {len(found)} relations: give the id")
        return found[0]

    def databag(self, owner: str, relation: str | int) -> dict[str, str]:
        """A copy of the databag of an application or unit, by endpoint or relation id."""
        return dict(self._bag_of(owner, relation).bags.get(owner, {}))

    def set_databag(self, owner: str, relation: str | int, bag: Mapping[str, str]) -> None:
        """Replace a databag from outside, to play a charm that writes something else."""
        self._bag_of(owner, relation).write(owner, bag)

    def add_secret(self, content: Mapping[str, str]) -> str:
        """``juju add-secret``: a user's secret, for a config option; returns its URI."""
        secret = Secret(new_id(), owner="", revisions={1: dict(content)})
        self.secrets[secret.id] = secret
        return f"secret:{secret.id}"

    def grant_secret(self, uri: str, app: str) -> None:
        """``juju grant-secret``: let an application read a user's secret."""
        self.secrets[uri.removeprefix("secret:")].grants.add((self.app(app).name, -1))

    def update_secret(self, uri: str, content: Mapping[str, str]) -> None:
        """``juju update-secret``: a new revision; who read the old one gets secret-changed."""
        secret = self.secrets[uri.removeprefix("secret:")]
        secret.revisions[secret.latest + 1] = dict(content)

    def relation_status(self) -> list[dict[str, Any]]:
        """The relations as ``juju status --relations`` lists them."""
        shown: list[dict[str, Any]] = []
        for r in self.relations.values():
            names = [f"{app}:{endpoint}" for app, endpoint in r.endpoints.items()]
            joined = any(
                (end := u.ends.get(r.id)) and end.created and not end.broken for u in self.units()
            )
            state = "removing" if r.dying or r.dead else "joined" if joined else "joining"
            row = {"id": r.id, "requirer": names[0], "provider": names[-1], "peer": r.peer}
            shown.append({**row, "interface": r.interface, "status": state})
        return shown
