"""The hook tools, as one hook sees them: what it writes lands when it exits 0.

Juju documents: "Hook command" (reference, one page per tool); the calls are those of ops 3.9.
"""

from __future__ import annotations

import json
from typing import Any

from .errors import ToolError
from .records import Event, HookRecord, Status, Unit, World
from .relationtools import RelationTools

_VALUED = {"r", "relation", "format", "file", "s", "l", "log-level"}
_VALUED_SECRET = {
    *("label", "description", "expire", "rotate", "owner", "relation", "app", "unit"),
    *("revision", "format"),
}


class HookContext(RelationTools):
    """The tools of one hook of one unit."""

    def __init__(self, world: World, unit: Unit, event: Event, record: HookRecord):
        super().__init__(world, unit, event)
        self.record = record
        self.results: dict[str, Any] = {}
        self.failed: str | None = None
        self.progress: list[str] = []
        self._ports = set(unit.ports)

    def answer(self, words: list[str], stdin: bytes) -> tuple[int, str, str]:
        """Run one tool: exit code, stdout, stderr."""
        tool, *args = words
        self.record.tools.append(" ".join(words))
        valued = _VALUED_SECRET if tool.startswith("secret-") else _VALUED
        options: dict[str, str] = {}
        rest: list[str] = []
        iterator = iter(args)
        for arg in iterator:
            name, equals, value = arg.lstrip("-").partition("=")
            if arg == "--":
                rest += iterator
            elif arg == "-" or not arg.startswith("-"):
                rest.append(arg)
            elif equals:
                options[name] = value
            else:
                options[name] = next(iterator, "") if name in valued else "true"
        if options.get("file") == "-":
            options["file"] = stdin.decode()
        try:
            result = getattr(self, tool.replace("-", "_"))(options, rest)
        except ToolError as error:
            return 1, "", f"ERROR {error}\n"
        if result is None and options.get("format") != "json":
            return 0, "", ""
        plain = isinstance(result, str) and options.get("format") != "json"
        return 0, f"{result if plain else json.dumps(result)}\n", ""

    def commit(self) -> None:
        """Land the writes, after exit 0."""
        self.commit_relations()
        self.unit.ports = self._ports
        self.commit_secrets()

    # -- the unit and its application --------------------------------------------------------

    def is_leader(self, _: dict[str, str], __: list[str]) -> bool:  # noqa: D102
        return self.unit.leader

    def config_get(self, _: dict[str, str], rest: list[str]) -> Any:  # noqa: D102
        config = self.unit.app.charm.config(self.unit.app.config)
        return config.get(rest[0]) if rest else config

    def status_get(self, options: dict[str, str], _: list[str]) -> Any:  # noqa: D102
        def shown(status: Status) -> dict[str, Any]:
            return {"status": status.status, "message": status.message, "status-data": {}}

        if options.get("application", "").lower() != "true":
            return shown(self.unit.status)
        if not self.unit.leader:
            raise ToolError("finding application status: this unit is not the leader")
        units = {u.name: shown(u.status) for u in self.unit.app.units}
        return {"application-status": shown(self.unit.app.status or Status()), "units": units}

    def status_set(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        # Takes effect at once, also in a hook that fails later.
        status = Status(rest[0], rest[1] if len(rest) > 1 else "")
        if options.get("application", "").lower() != "true":
            self.unit.status = status
        elif self.unit.leader:
            self.unit.app.status = status
        else:
            raise ToolError("setting application status: this unit is not the leader")

    def application_version_set(self, _: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self.unit.app.version = rest[0]

    def juju_log(self, options: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        level = options.get("log-level") or options.get("l") or "INFO"
        self.record.tools.pop()  # its text is in the logs
        self.record.tools.append("juju-log")
        self.record.logs.append(f"{level} {' '.join(rest)}")

    def open_port(self, _: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self._ports.add(rest[0] if "/" in rest[0] or rest[0] == "icmp" else f"{rest[0]}/tcp")

    def close_port(self, _: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self._ports.discard(rest[0] if "/" in rest[0] or rest[0] == "icmp" else f"{rest[0]}/tcp")

    def opened_ports(self, _: dict[str, str], __: list[str]) -> list[str]:  # noqa: D102
        return sorted(self._ports)

    def unit_get(self, _: dict[str, str], __: list[str]) -> str:  # noqa: D102
        return self.unit.address

    def network_get(self, _: dict[str, str], rest: list[str]) -> Any:  # noqa: D102
        if rest[0] not in {*self.unit.app.charm.endpoints, "juju-info"}:
            raise ToolError(f'no network config found for binding "{rest[0]}"')
        address = self.unit.address
        where = {"hostname": "", "value": address, "address": address, "cidr": ""}
        return {
            "bind-addresses": [{"interface-name": "", "addresses": [where]}],
            "egress-subnets": [f"{address}/32"],
            "ingress-addresses": [address],
        }

    def credential_get(self, _: dict[str, str], __: list[str]) -> Any:  # noqa: D102
        if not self.unit.app.trusted:
            raise ToolError("cannot access cloud credentials")
        return {"type": "kubernetes", "name": "miniature"}

    def resource_get(self, _: dict[str, str], rest: list[str]) -> str:  # noqa: D102
        if rest[0] not in self.unit.app.resources:
            raise ToolError(f'could not download resource: resource "{rest[0]}" not found')
        return str(self.unit.app.resources[rest[0]])

    def storage_list(self, _: dict[str, str], __: list[str]) -> list[str]:  # noqa: D102
        return []

    def storage_get(self, _: dict[str, str], __: list[str]) -> None:  # noqa: D102
        raise ToolError("this model has no storage")

    storage_add = storage_get

    # -- actions -----------------------------------------------------------------------------

    def _action(self) -> dict[str, Any]:
        if self.event.action is None:
            raise ToolError("not running an action")
        return self.event.action

    def action_get(self, _: dict[str, str], rest: list[str]) -> Any:  # noqa: D102
        value: Any = self._action()
        for key in rest[0].split(".") if rest else []:
            value = value.get(key) if isinstance(value, dict) else None  # pyright: ignore
        return value  # pyright: ignore[reportUnknownVariableType]

    def action_set(self, _: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self._action()
        for pair in rest:
            path, _sep, value = pair.partition("=")
            *parents, key = path.split(".")
            where = self.results
            for parent in parents:
                where = where.setdefault(parent, {})
            where[key] = value

    def action_fail(self, _: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self._action()
        self.failed = rest[0] if rest else "action failed without reason given, check logs"

    def action_log(self, _: dict[str, str], rest: list[str]) -> None:  # noqa: D102
        self._action()
        self.progress.append(" ".join(rest))
