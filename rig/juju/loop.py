"""The loop that runs the hooks of all units, one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment import juju_variables
from .errors import ActionRefusedError, HookFailedError, NotSettledError, ToolError
from .kubernetes import Kubernetes
from .process import Processes
from .records import (
    ActionResult,
    Application,
    End,
    Event,
    HookRecord,
    Relation,
    Status,
    Unit,
    World,
)
from .schedule import next_event
from .tools import HookContext

if TYPE_CHECKING:
    from typing_extensions import Self


class Loop(World):
    """A world whose hooks are run; `Model` says what the arguments are."""

    def __init__(
        self,
        name: str = "rbg",
        kubernetes: Kubernetes | None = None,
        *,
        python: Sequence[str] = (sys.executable,),
        env: Mapping[str, str] | None = None,
        pythonpath: Sequence[Path] = (),
        pebble: Callable[[str, str], bool] = lambda unit, container: False,
    ):
        super().__init__(name)
        self.kubernetes = kubernetes
        self.python = list(python)
        self.env = dict(env or {})
        self.pythonpath = list(pythonpath)
        self.pebble = pebble
        self.hooks: list[HookRecord] = []
        self.hook_timeout = 300.0
        self.before_hook: Callable[[HookRecord], object] = lambda record: None
        self.kill: Callable[[HookRecord], bool] | None = None
        """Asked after each hook tool call has been carried out: True kills the hook (SIGKILL)."""
        self._turn: list[str] = []
        self._deployed = self._actions = 0
        self._directories = 0
        self._last_relation = 0
        if kubernetes:
            kubernetes.start(name)
        self._processes = Processes()  # last: nobody would close it if that failed

    def __enter__(self) -> Self:
        """Nothing more to do: the model is there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the units' directories."""
        self.close()

    def close(self) -> None:
        """Remove the units' directories and the socket; the cluster is left as it is."""
        self._processes.close()

    # -- events and actions ------------------------------------------------------------------

    def emit(self, unit: str, hook: str, **env: str) -> None:
        """Queue any hook that needs no relation, with its JUJU_* variables."""
        self._queue(self.unit(unit), Event(hook, env))

    def _queue(self, unit: Unit, event: Event, then: Callable[[], object] = lambda: None) -> None:
        event.done = lambda: (unit.queue.remove(event), then())
        unit.queue.append(event)

    def update_status(self) -> None:
        """Queue update-status on every unit."""
        for unit in self.units():
            self.emit(unit.name, "update-status")

    def pebble_notice(self, unit: str, container: str, key: str, notice_id: str = "1") -> None:
        """Queue a custom notice; the same key coalesces, as notices do (seen on a real Juju 4)."""
        hook = f"{container}-pebble-custom-notice"
        env = {"JUJU_WORKLOAD_NAME": container, "JUJU_NOTICE_ID": notice_id}
        env |= {"JUJU_NOTICE_TYPE": "custom", "JUJU_NOTICE_KEY": key}
        if not any(e.hook == hook and e.env == env for e in self.unit(unit).queue):
            self.emit(unit, hook, **env)

    def pebble_check(self, unit: str, container: str, check: str, *, failed: bool) -> None:
        """Queue pebble-check-failed or pebble-check-recovered."""
        hook = f"{container}-pebble-check-{'failed' if failed else 'recovered'}"
        self.emit(unit, hook, JUJU_WORKLOAD_NAME=container, JUJU_PEBBLE_CHECK_NAME=check)

    def run(self, unit: str, action: str, params: Mapping[str, Any] | None = None) -> ActionResult:
        """Run an action now, also on a unit in error; ``app/leader`` is its leader."""
        found = self.unit(unit)
        self._actions += 1
        if not found.started:
            raise ActionRefusedError(f'unit "{found.name}" is not running')
        try:
            given = found.app.charm.parse_action(action, params or {})
        except ValueError as error:
            # seen on a real Juju 4
            text = f'Action id {self._actions} failed: cannot run "{action}" action: {error}'
            raise ActionRefusedError(text) from None
        env = {"JUJU_ACTION_NAME": action, "JUJU_ACTION_UUID": str(self._actions)}
        record, context = self._execute(found, Event(f"actions/{action}", env, action=given))
        failed = context.failed
        if record.failure:
            failed = f"exit status {record.exit_code}"
        status = "completed" if failed is None else "failed"
        return ActionResult(status, context.results, failed or "", context.progress, record)

    # -- the loop ----------------------------------------------------------------------------

    def step(self) -> HookRecord | None:
        """Run one hook of the next unit that has one; None when nobody has."""
        self._clean_up()
        names = [unit.name for unit in self.units()]
        turn = [n for n in self._turn if n in names]
        for name in [n for n in names if n not in turn] + turn:
            unit = self.unit(name)
            if event := next_event(self, unit, self.pebble):
                self._turn = [n for n in turn if n != name] + [name]
                record, _ = self._execute(unit, event)
                self._clean_up()
                return record
        return None

    def settle(self, *, raise_on_error: bool = True, limit: int | None = None) -> int:
        """Run hooks until none is due; returns how many ran.

        Args:
            raise_on_error: raise at the end where a unit is in error.
            limit: how many hooks at most; by default many per unit and relation.
        """
        ran = 0
        while self.step():
            ran += 1
            ends = sum(1 + len(unit.ends) + len(unit.queue) for unit in self.units())
            if ran > (limit or 30 + 10 * ends):
                last = ", ".join(f"{r.unit} {r.hook}" for r in self.hooks[-8:])
                raise NotSettledError(f"after {ran} hooks there is still one due; last: {last}")
        failed = [unit.name for unit in self.units() if unit.failed]
        if failed and raise_on_error:
            raise HookFailedError("\n".join(self._post_mortem(name) for name in failed))
        return ran

    def _post_mortem(self, unit: str) -> str:
        record = next(r for r in reversed(self.hooks) if r.unit == unit and r.failure)
        said = [log for log in record.logs if log.startswith("ERROR")]
        tail = "\n".join([*said, record.stderr.strip()])[-4000:]
        return f"{unit} {record.hook}: {record.failure}\n{tail}"

    def resolve(self, unit: str, *, retry: bool = True) -> None:
        """``juju resolve``: queue the failed hook again, or with ``--no-retry`` pass it over."""
        found = self.unit(unit)
        if found.failed and not retry:
            found.failed.done()
        found.failed, found.retry = None, found.failed if retry else None

    def _execute(self, unit: Unit, event: Event) -> tuple[HookRecord, HookContext]:
        record = HookRecord(unit.name, event.hook, env=event.env)
        if event.relation:
            record.relation_id = event.relation.id
            record.remote_unit = event.remote
            record.departing_unit = event.departing
        self.hooks.append(record)
        self.before_hook(record)
        if event.hook == "install":
            unit.status = Status("maintenance", "installing charm software")
        context = HookContext(self, unit, event, record)
        nowhere = self._processes.directory / "no-kubeconfig"
        config = self.kubernetes.kubeconfig(unit.app.name) if self.kubernetes else nowhere
        env = {
            **juju_variables(self, unit, event),
            **self._processes.environment(self.pythonpath),
            "JUJU_CONTEXT_ID": f"{unit.name}-{event.hook}-{len(self.hooks)}",
            "KUBECONFIG": str(config),
            **self.env,
        }
        argv = [*self.python, "src/charm.py"]
        self._processes.run(
            argv, unit.directory, env, record, context.answer, self.kill, self.hook_timeout
        )
        if not record.failure and record.exit_code:
            record.failure = f"exit status {record.exit_code}"
        if not record.failure:
            try:
                context.commit()
            except ToolError as error:
                record.failure = str(error)
        if event is unit.retry:
            unit.retry = None
        event.after()
        if not record.failure:
            event.done()
        elif event.action is None:
            unit.failed = event
        if "start" in unit.done and unit.status.message == "installing charm software":
            unit.status = Status()  # the charm has said nothing of itself
        return record, context

    def _clean_up(self) -> None:
        """Take away the units, relations and applications that are through with their hooks."""
        for app in list(self.apps.values()):
            app.units = [u for u in app.units if not self._gone(u)]
            self._elect(app)
        for relation in list(self.relations.values()):
            ends = [u.ends.get(relation.id, End()) for u in self.units()]
            if (
                relation.dying
                and not relation.peer
                and not any(end.created and not end.broken for end in ends)
            ):
                self._forget(relation)
        for app in list(self.apps.values()):
            # Seen on a real Juju 4: an application stays until the other side has left too.
            related = [r for r in self.relations_of(app.name) if not (r.peer or r.dead)]
            if app.dying and not app.units and not related:
                self._forget_application(app)

    def _gone(self, unit: Unit) -> bool:
        never_ran = "install" not in unit.done and not unit.failed
        return unit.dying and (never_ran or "remove" in unit.done)

    def _elect(self, app: Application) -> None:
        if app.leader not in app.units:
            app.leader = app.units[0] if app.units else None

    def _forget(self, relation: Relation) -> None:
        del self.relations[relation.id]
        for unit in self.units():
            unit.ends.pop(relation.id, None)

    def _forget_application(self, app: Application) -> None:
        for relation in self.relations_of(app.name):
            self._forget(relation)
        del self.apps[app.name]
        self.secrets = {
            k: s for k, s in self.secrets.items() if s.owner.partition("/")[0] != app.name
        }
        # Seen on a real Juju 4: collected after the last hook; --force leaves it all behind.
        if self.kubernetes and not app.forced:
            self.kubernetes.remove(app.name)
