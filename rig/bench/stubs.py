# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Hook tools that answer from files and cost next to nothing, and remember what was set."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

ENDPOINTS = ("engine", "decoder", "router", "role", "group")
_SILENT = ("juju-log", "application-version-set")


class Stubs:
    """A directory of hook tools for one leader unit of application `llama`.

    Attributes:
        directory: to be put first on PATH.
        bags: relation id → application → databag.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.bags: dict[int, dict[str, dict[str, str]]] = {}
        self._endpoints: dict[int, str] = {}
        self._calls, self._status = directory / "calls", directory / "status"
        directory.mkdir(parents=True)

    def relate(self, endpoint: str, relation_id: int, application: str, **data: Any) -> None:
        """Add a relation; its data is one JSON value per field."""
        self._endpoints[relation_id] = endpoint
        said = {key: json.dumps(value) for key, value in data.items()}
        self.bags[relation_id] = {"llama": {}, application: said}

    def write(self) -> None:
        """Write the tools anew, after a change."""
        config = {"model": "", "served-model-name": "", "model-storage": ""}
        for tool, answer in (("is-leader", "true"), ("config-get", json.dumps(config))):
            self._tool(tool, f"printf %s {shlex.quote(answer)}")
        for tool in _SILENT:
            self._tool(tool, ":")
        self._tool("status-set", f'printf %s "$*" > {self._status}')
        # Called as `--format=json -r role:7 --app - app`: each answer is a line in a file, read
        # by the shell itself, so that a tool costs the same however many roles there are.
        self._answering("relation-ids", "$1", self._ids())
        self._answering("relation-list", "$3", self._units())
        self._answering("relation-get", "$3.$6", self._data())
        # The only tool that starts a process: it is not called by an idle hook.
        self._tool("relation-set", f'cat > {self.directory}/set.$(echo "$*" | tr -dc 0-9)')

    def land(self) -> bool:
        """Take over what the last hook set; True if it was anything."""
        changed = False
        for file in sorted(self.directory.glob("set.*")):
            relation_id = int(file.suffix[1:])
            for key, value in (yaml.safe_load(file.read_text()) or {}).items():
                bag = self.bags[relation_id]["llama"]
                if bag.get(key, "") != value:
                    bag[key] = value
                    changed = True
            file.unlink()
        return changed

    def calls(self) -> list[str]:
        """Names of the tools called since the last time it was asked."""
        found = self._calls.read_text().split() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return found

    @property
    def active(self) -> bool:
        """Whether the last hook set an active status."""
        return self._status.exists() and " active " in self._status.read_text()

    def _ids(self) -> dict[str, str]:
        def ids(endpoint: str) -> list[str]:
            return [f"{e}:{i}" for i, e in self._endpoints.items() if e == endpoint]

        return {endpoint: json.dumps(ids(endpoint)) for endpoint in ENDPOINTS}

    def _units(self) -> dict[str, str]:
        return {
            f"{self._endpoints[i]}:{i}": json.dumps([f"{app}/0" for app in bags][1:])
            for i, bags in self.bags.items()
        }

    def _data(self) -> dict[str, str]:
        return {
            f"{self._endpoints[i]}:{i}.{app}": json.dumps(bag)
            for i, bags in self.bags.items()
            for app, bag in bags.items()
        }

    def _answering(self, tool: str, key: str, answers: dict[str, str]) -> None:
        for name, answer in answers.items():
            (self.directory / f"{tool}.{name}").write_text(answer + "\n")
        self._tool(tool, f'read -r answer < {self.directory}/{tool}.{key}\nprintf %s "$answer"')

    def _tool(self, name: str, body: str) -> None:
        file = self.directory / name
        file.write_text(f"#!/bin/sh\necho {name} >> {self._calls}\n{body}\n")
        file.chmod(0o755)
