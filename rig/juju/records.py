"""The plain data of a model: applications, units, relations, secrets, and the log of hooks."""

from __future__ import annotations

import dataclasses
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import JujuError
from .metadata import Charm


@dataclass
class HookRecord:
    """One hook or action that ran."""

    unit: str
    hook: str
    """``config-changed``, ``link-relation-joined``; an action is ``actions/<name>``."""
    relation_id: int | None = None
    remote_unit: str = ""
    departing_unit: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    pid: int = 0
    exit_code: int | None = None
    duration: float = 0.0
    tools: list[str] = field(default_factory=list[str])
    """Each hook tool call: the name and its arguments."""
    logs: list[str] = field(default_factory=list[str])
    """``LEVEL message`` of each juju-log."""
    stderr: str = ""
    failure: str = ""
    """Why the hook counts as failed; empty when all is well."""


@dataclass
class ActionResult:
    """What ``juju run`` shows of an action."""

    status: str
    results: dict[str, Any]
    message: str
    log: list[str]
    record: HookRecord


@dataclass
class Status:
    """A workload or application status."""

    status: str = "unknown"
    message: str = ""


@dataclass(eq=False)
class Event:
    """A hook to run, and what the model does once it ran."""

    hook: str
    env: dict[str, str] = field(default_factory=dict[str, str])
    relation: Relation | None = None
    remote: str = ""
    """The remote unit; empty where the hook is about the remote application."""
    departing: str = ""
    done: Callable[[], object] = lambda: None
    """After exit 0 only: Juju repeats the hook otherwise."""
    after: Callable[[], object] = lambda: None
    """After the process ended, whatever its exit code."""
    action: dict[str, Any] | None = None


@dataclass
class End:
    """What one unit knows of one relation."""

    created: bool = False
    broken: bool = False
    seen: dict[str, int] = field(default_factory=dict[str, int])
    """Joined remote units, each with the version of its databag that was told."""
    app_seen: int = 0


@dataclass(eq=False)
class Relation:
    """A relation with its databags; a peer relation has one endpoint."""

    id: int
    interface: str
    endpoints: dict[str, str]
    """Application to endpoint."""
    bags: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By application or unit name."""
    versions: dict[str, int] = field(default_factory=dict[str, int])
    dying: bool = False
    dead: str = ""
    """The application that was forced away: this relation then never breaks."""

    @property
    def peer(self) -> bool:
        """Whether the application is related with itself."""
        return len(self.endpoints) == 1

    def other(self, app: str) -> str:
        """The remote application, which in a peer relation is the same."""
        return next((name for name in self.endpoints if name != app), app)

    def write(self, owner: str, bag: Mapping[str, str]) -> bool:
        """Replace a databag; the other side is woken only by a real change."""
        if self.bags.get(owner, {}) == bag:
            return False
        self.bags[owner] = dict(bag)
        self.versions[owner] = self.versions.get(owner, 0) + 1
        return True


@dataclass
class Secret:
    """A secret; the owner is an application, a unit, or empty for a user's own."""

    id: str
    owner: str
    label: str = ""
    description: str = ""
    rotate: str = ""
    expire: str = ""
    revisions: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    grants: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Application or unit, and the relation that limits the grant (-1: none)."""
    tracked: dict[str, int] = field(default_factory=dict[str, int])
    """Which revision each consuming unit reads."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    told: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """secret-changed and secret-remove already sent: unit and revision."""

    @property
    def latest(self) -> int:
        """The newest revision."""
        return max(self.revisions, default=0)

    def copy(self) -> Secret:
        """A copy to write in until the hook has exited 0."""
        return dataclasses.replace(
            self,
            revisions=dict(self.revisions),
            grants=set(self.grants),
            tracked=dict(self.tracked),
            labels=dict(self.labels),
            told=set(self.told),
        )


@dataclass(eq=False)
class Unit:
    """A unit and how far its hooks have come."""

    name: str
    app: Application
    directory: Path
    address: str
    status: Status = field(default_factory=lambda: Status("waiting", "installing agent"))
    dying: bool = False
    forced: bool = False
    done: set[str] = field(default_factory=set[str])
    config_due: int = 1
    leader_seen: bool = False
    ends: dict[int, End] = field(default_factory=dict[int, End])
    queue: deque[Event] = field(default_factory=deque[Event])
    failed: Event | None = None
    retry: Event | None = None
    """The failed hook after `juju resolve`: Juju repeats that one before any other."""
    ports: set[str] = field(default_factory=set[str])

    @property
    def leader(self) -> bool:
        """Whether this unit leads its application."""
        return self.app.leader is self

    @property
    def started(self) -> bool:
        """Whether it has come through its first hooks and not yet stopped for good."""
        return "start" in self.done and "stop" not in self.done


@dataclass(eq=False)
class Application:
    """An application."""

    name: str
    charm: Charm
    config: dict[str, Any]
    number: int
    units: list[Unit] = field(default_factory=list[Unit])
    leader: Unit | None = None
    status: Status | None = None
    trusted: bool = False
    dying: bool = False
    forced: bool = False
    version: str = ""
    resources: dict[str, Path] = field(default_factory=dict[str, Path])


class World:
    """All that exists in a model."""

    def __init__(self, name: str):
        self.name = name
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        self.apps: dict[str, Application] = {}
        self.relations: dict[int, Relation] = {}
        self.secrets: dict[str, Secret] = {}
        self.quirks: set[str] = set()
        """What a real Juju 4 did in some runs only. ``no-remote-app-in-broken``: JUJU_REMOTE_APP
        is empty there; ``no-goal-state-in-remove``: goal-state fails in the remove hook."""

    def app(self, name: str) -> Application:
        """An application by name."""
        if name not in self.apps:
            raise JujuError(f'application "{name}" not found')
        return self.apps[name]

    def unit(self, name: str) -> Unit:
        """A unit by name; ``app/leader`` is its leader."""
        app, _, number = name.partition("/")
        for unit in self.apps[app].units if app in self.apps else ():
            if unit.name == name or (number == "leader" and unit.leader):
                return unit
        raise JujuError(f'unit "{name}" not found')

    def units(self) -> list[Unit]:
        """All units."""
        return [unit for app in self.apps.values() for unit in app.units]

    def relations_of(self, app: str) -> list[Relation]:
        """The relations of an application, the forced-away ones of a namesake left out."""
        return [r for r in self.relations.values() if app in r.endpoints and r.dead != app]

    def members(self, relation: Relation, unit: Unit) -> list[str]:
        """The remote units in the relation's scope, as this unit sees them."""
        other = self.apps.get(relation.other(unit.app.name))
        if other is None or relation.dead == other.name:
            return []
        ends = [(u, u.ends.get(relation.id)) for u in other.units if u is not unit]
        return [u.name for u, end in ends if end and end.created and not end.broken]
