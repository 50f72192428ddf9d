"""Which hook a unit runs next: found from what the unit has been told and what is the case.

The real unit agent works the same way, so events that nobody was told of coalesce.
Juju documents: "Hook" (reference, "Lifecycle hooks", "Relation hooks", "Secret hooks").
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .records import End, Event, Relation, Status, Unit, World


def next_event(world: World, unit: Unit, pebble: Callable[[str, str], bool]) -> Event | None:
    """The unit's next hook; None where it has nothing to do or is in error."""
    if unit.failed or unit.retry:
        return None if unit.failed else unit.retry
    relations = sorted(world.relations_of(unit.app.name), key=lambda r: r.peer)
    if not unit.forced:
        event = _setup(unit, sorted(relations, key=lambda r: not r.peer), pebble)
        if event or "install" not in unit.done:
            return event
        if unit.queue:
            return unit.queue[0]
        for relation in relations:
            if event := _relation(world, unit, relation):
                return event
    if unit.dying:
        # seen on a real Juju 4: ... broken, stop, remove
        return next(
            (_once(unit, hook) for hook in ("stop", "remove") if hook not in unit.done), None
        )
    return _secret(world, unit)


def _once(unit: Unit, hook: str, key: str = "") -> Event:
    return Event(hook, done=lambda: unit.done.add(key or hook))


def _setup(
    unit: Unit, relations: list[Relation], pebble: Callable[[str, str], bool]
) -> Event | None:
    """Seen on a real Juju 4: install, created, leader-elected, pebble-ready, config, start."""
    if "install" not in unit.done:
        return None if unit.dying else _once(unit, "install")
    if unit.dying:
        return None
    if event := _relation_created(unit, relations):
        return event
    if unit.leader and not unit.leader_seen:
        return Event("leader-elected", done=lambda: setattr(unit, "leader_seen", True))
    for name in unit.app.charm.containers:
        key = f"{name}-pebble-ready"
        if key not in unit.done and pebble(unit.name, name):
            return Event(key, {"JUJU_WORKLOAD_NAME": name}, done=partial(unit.done.add, key))
    if unit.config_due:
        return Event(
            "config-changed", done=lambda: setattr(unit, "config_due", unit.config_due - 1)
        )
    if "start" not in unit.done:
        return _once(unit, "start")
    return None


def _relation_created(unit: Unit, relations: list[Relation]) -> Event | None:
    for relation in relations:
        if relation.id not in unit.ends and not (relation.dying or relation.dead):
            unit.ends[relation.id] = End()
            # "network-get": Juju fills in the unit's own databag with its addresses
            address = {"ingress-address": unit.address, "private-address": unit.address}
            relation.write(unit.name, {"egress-subnets": f"{unit.address}/32", **address})
    for relation in relations:
        end = unit.ends.get(relation.id)
        if end and not (end.created or relation.dying or relation.dead):
            hook = f"{relation.endpoints[unit.app.name]}-relation-created"
            return Event(hook, relation=relation, done=partial(setattr, end, "created", True))
    return None


def _relation(world: World, unit: Unit, relation: Relation) -> Event | None:
    """Departed and broken where somebody goes, else joined and changed."""
    end = unit.ends.get(relation.id)
    if end is None or not end.created or end.broken:
        return None
    prefix = f"{relation.endpoints[unit.app.name]}-relation"
    members = world.members(relation, unit)
    leaving = unit.dying or relation.dying
    for name in sorted(end.seen):
        if leaving or name not in members:
            # seen on a real Juju 4: our own unit departs where it goes, else the remote unit
            departing = unit.name if unit.dying else name
            gone = Event(f"{prefix}-departed", relation=relation, remote=name, departing=departing)
            gone.done = partial(end.seen.pop, name)
            return gone
    if leaving:
        if relation.peer and unit.app.dying:
            # seen on a real Juju 4: scale to 0 breaks the peer relation, removal does not
            end.broken = True
            return None
        # "relation-broken": no JUJU_DEPARTING_UNIT; scale to 0 has it too while the relation lives
        return Event(
            f"{prefix}-broken", relation=relation, done=lambda: setattr(end, "broken", True)
        )
    return _joined_or_changed(unit, relation, end, members)


def _joined_or_changed(
    unit: Unit, relation: Relation, end: End, members: list[str]
) -> Event | None:
    prefix = f"{relation.endpoints[unit.app.name]}-relation"
    for name in members:
        if name not in end.seen:
            # "relation-joined": always followed by relation-changed for the same unit
            joined = Event(f"{prefix}-joined", relation=relation, remote=name)
            joined.done = partial(end.seen.update, {name: -1})
            return joined
    for name, told in end.seen.items():
        version = relation.versions.get(name, 0)
        if told < version:
            changed = Event(f"{prefix}-changed", relation=relation, remote=name)
            changed.done = partial(end.seen.update, {name: version})
            return changed
    version = relation.versions.get(relation.other(unit.app.name), 0)
    if relation.peer and unit.leader:
        end.app_seen = version  # it wrote that itself: only the other units are told
    if end.app_seen < version and not relation.dead:
        changed = Event(f"{prefix}-changed", relation=relation)
        changed.done = lambda: setattr(end, "app_seen", version)
        return changed
    return None


def _secret(world: World, unit: Unit) -> Event | None:
    """secret-changed for who reads an old revision; secret-remove when nobody reads it."""
    for secret in world.secrets.values():
        env = {"JUJU_SECRET_ID": f"secret:{secret.id}"}
        told = (unit.name, secret.latest)
        owner = unit.name if secret.owner == unit.name else unit.leader and unit.app.name
        tracked = secret.tracked.get(unit.name, secret.latest)
        if tracked < secret.latest and secret.owner != owner and told not in secret.told:
            env["JUJU_SECRET_LABEL"] = secret.labels.get(unit.name, "")
            return Event("secret-changed", env, done=partial(_tell, world, secret.id, told))
        if secret.owner and secret.owner == owner:
            in_use = {secret.latest, *secret.tracked.values()}
            for revision in sorted(set(secret.revisions) - in_use):
                gone = (unit.name, -revision)
                if gone not in secret.told and secret.tracked:
                    env |= {"JUJU_SECRET_LABEL": secret.label}
                    env["JUJU_SECRET_REVISION"] = str(revision)
                    return Event("secret-remove", env, done=partial(_tell, world, secret.id, gone))
    return None


def _tell(world: World, secret: str, mark: tuple[str, int]) -> None:
    if secret in world.secrets:  # the hook may have replaced or removed it
        world.secrets[secret].told.add(mark)


def worst(unit_statuses: list[Status]) -> Status:
    """The status of an application that set none: its worst unit's ("Status" reference)."""
    order = ("error", "blocked", "waiting", "maintenance", "active", "unknown")
    ranked = sorted(unit_statuses, key=lambda s: order.index(s.status))
    return ranked[0] if ranked else Status()
