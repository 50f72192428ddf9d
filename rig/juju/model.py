"""The commands of ``juju`` about applications, and its status."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .bundle import read_bundle
from .errors import JujuError
from .metadata import Charm
from .records import Application, Event, Status, Unit
from .relate import Relating
from .schedule import worst


class Model(Relating):
    """Applications, their units and relations.

    A command only queues, as ``juju`` does; `settle` runs the hooks.

    Args:
        name: the model's name, which is also its Kubernetes namespace.
        kubernetes: makes for each application what Juju makes on Kubernetes.
        python: the command line that runs a charm; a measuring tool can go in front.
        env: more environment for every hook.
        pythonpath: added after the charm's own ``lib`` and ``src``.
        pebble: says of a unit and a container whether its Pebble is there (the caller makes it
            reachable); only then there is a pebble-ready.
    """

    # -- applications ------------------------------------------------------------------------

    def deploy(
        self,
        charm: Path,
        app: str | None = None,
        *,
        units: int = 1,
        config: Mapping[str, object] | None = None,
        trust: bool = False,
        resources: Mapping[str, Path] | None = None,
    ) -> str:
        """Deploy an unpacked charm; returns the application's name."""
        loaded = Charm.load(charm)
        name: str = app or loaded.meta["name"]
        if name in self.apps:
            raise JujuError(f'application already exists: "{name}"')
        values = {k: loaded.parse_option(k, v) for k, v in (config or {}).items()}
        self._deployed += 1
        new = Application(name, loaded, values, self._deployed, resources=dict(resources or {}))
        self.apps[name] = new
        self._add_peers(new)
        if self.kubernetes:
            self.kubernetes.deploy(name, units)
        if trust:
            self._set_trust(new, True)
        self._add_units(new, units)
        return name

    def deploy_bundle(self, path: Path, charms: Mapping[str, Path] | None = None) -> list[str]:
        """Deploy the applications of a bundle and integrate them."""
        apps, relations = read_bundle(Path(path), charms or {})
        for name, app in apps.items():
            self.deploy(app.charm, name, units=app.units, config=app.options, trust=app.trust)
        for one, other in relations:
            self.integrate(one, other)
        return list(apps)

    def _add_units(self, app: Application, count: int) -> None:
        used = {unit.name for unit in app.units}
        for number in range(count):  # ordinals of a StatefulSet: always counted from 0
            if (name := f"{app.name}/{number}") not in used:
                address = f"10.1.{app.number}.{number + 1}"
                app.units.append(Unit(name, app, self._unpack(app, name), address))
        self._elect(app)

    def scale(self, app: str, count: int) -> None:
        """Add units, or take away those with the highest numbers."""
        found = self.app(app)
        if any(unit.dying for unit in found.units):
            raise JujuError(f'units of "{app}" are still leaving: settle first')
        for unit in found.units[count:]:
            unit.dying = True
        self._add_units(found, count)
        if self.kubernetes:
            self.kubernetes.scale(app, count)

    def remove_application(self, app: str, *, force: bool = False, no_wait: bool = False) -> None:
        """Remove an application; `no_wait` is ``--force --no-wait``."""
        found = self.app(app)
        found.dying = True
        found.forced = force = force or no_wait
        for unit in found.units:
            unit.dying, unit.forced = True, force
            unit.failed, unit.retry = (None, None) if force else (unit.failed, unit.retry)
        for relation in self.relations_of(app):
            relation.dying = relation.dying or not force
            if force:
                # Seen on a real Juju 4: the other side gets departed, never broken, and keeps
                # the dead relation.
                relation.dead = app
                if relation.peer or relation.other(app) not in self.apps:
                    del self.relations[relation.id]
        if no_wait:
            # Seen on a real Juju 4: no hooks at all; StatefulSet (0 replicas) and ClusterRole stay
            for unit in found.units:
                unit.done |= {"install", "stop", "remove"}
            if self.kubernetes:
                self.kubernetes.scale(app, 0)
        self._clean_up()

    def depose(self, app: str) -> str:
        """Let another unit lead; returns its name."""
        found = self.app(app)
        others = [u for u in found.units if u is not found.leader and not u.dying]
        if not others:
            raise JujuError(f'no other unit of "{app}" can lead')
        if found.leader:
            found.leader.leader_seen = False
        found.leader = others[0]
        return others[0].name

    def config(self, app: str, values: Mapping[str, object] | None = None, **more: object) -> None:
        """Set options; None resets one. An underscore in a keyword stands for a hyphen."""
        found = self.app(app)
        given = {**(values or {}), **{k.replace("_", "-"): v for k, v in more.items()}}
        old = dict(found.config)
        parsed = {
            k: None if v is None else found.charm.parse_option(k, v) for k, v in given.items()
        }
        found.config = {k: v for k, v in (old | parsed).items() if v is not None}
        if found.charm.config(found.config) != found.charm.config(old):
            self._config_changed(found)

    def _config_changed(self, app: Application) -> None:
        for unit in app.units:  # seen on a real Juju 4: twice per `juju config` and `juju trust`
            unit.config_due = 2 if "start" in unit.done else 1

    def trust(self, app: str) -> None:
        """Give the application's service account all rights: they are there before the hook."""
        self._set_trust(self.app(app), True)
        self._config_changed(self.app(app))

    def distrust(self, app: str) -> None:
        """Take the rights back: seen on a real Juju 4, only after the first hook has begun."""
        found = self.app(app)
        self._config_changed(found)
        waiting = [u for u in found.units if u.started and not u.failed]
        if not waiting:
            self._set_trust(found, False)
            return
        # The first of its two hooks is over before the rights go.
        waiting[0].config_due = 0
        revoke = lambda: self._set_trust(found, False)  # noqa: E731
        self._queue(waiting[0], Event("config-changed", after=revoke))
        self._queue(waiting[0], Event("config-changed"))

    def _set_trust(self, app: Application, trusted: bool) -> None:
        app.trusted = trusted
        if self.kubernetes:
            (self.kubernetes.trust if trusted else self.kubernetes.distrust)(app.name)

    def refresh(self, app: str, charm: Path | None = None) -> None:
        """Give the application a new revision of its charm; every pod is replaced."""
        found = self.app(app)
        loaded = Charm.load(charm or found.charm.path)
        if set(loaded.meta.get("storage") or {}) - set(found.charm.meta.get("storage") or {}):
            # seen on a real Juju 4
            what = "updating storage directives on a k8s application during charm upgrade"
            raise JujuError(f"{what} is not supported (not supported)")
        found.charm = loaded
        found.config = {k: v for k, v in found.config.items() if k in loaded.options}
        self._add_peers(found)
        if self.kubernetes:
            self.kubernetes.restart(app)
        for unit in found.units:
            self.churn(unit.name)

    def churn(self, unit: str) -> None:
        """The unit's pod is deleted and comes back; leadership does not move."""
        found = self.unit(unit)
        if "install" not in found.done:
            found.directory = self._unpack(found.app, unit)
            return

        # Seen on a real Juju 4: stop (old pod), upgrade-charm, config-changed, start, pebble-ready
        # ops "StoredState": what a charm keeps in its own directory goes with the pod.
        replaced = lambda: setattr(found, "directory", self._unpack(found.app, unit))  # noqa: E731
        self._queue(found, Event("stop"), then=replaced)
        for hook in ("upgrade-charm", "config-changed", "start"):
            self.emit(unit, hook)
        for container in found.app.charm.containers:
            if self.pebble(found.name, container):
                self.emit(unit, f"{container}-pebble-ready", JUJU_WORKLOAD_NAME=container)

    def _unpack(self, app: Application, unit: str) -> Path:
        self._directories += 1
        stem = f"{unit.replace('/', '-')}.{self._directories}"
        directory = self._processes.directory / stem
        app.charm.unpack(directory)
        return directory

    def status(self) -> dict[str, Any]:
        """What ``juju status`` shows, as plain data."""
        apps: dict[str, Any] = {}
        for app in self.apps.values():
            units = {u.name: self._unit_status(u) for u in app.units}
            shown = app.status or worst(list(units.values()))
            apps[app.name] = {
                "charm": app.charm.meta["name"],
                "status": shown.status,
                "message": shown.message,
                "scale": sum(not u.dying for u in app.units),
                "trusted": app.trusted,
                "version": app.version,
                "units": {u.name: {**vars(units[u.name]), "leader": u.leader} for u in app.units},
            }
        return {"model": self.name, "applications": apps, "relations": self.relation_status()}

    def _unit_status(self, unit: Unit) -> Status:
        if unit.failed:  # "Status": the agent's error covers what the charm said
            return Status("error", f'hook failed: "{unit.failed.hook}"')
        return unit.status
