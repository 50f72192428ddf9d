# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Deploy a bundle of the examples, watch it come up, and what a user does on the day after."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import yaml
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax

from rig import ROOT
from rig.demo.clusters import CLUSTERS, Stage
from rig.demo.dayafter import Command, commands
from rig.juju import Model, print_status
from rig.juju.kubernetes import LightkubeKubernetes

BUNDLES = ROOT / "examples/bundles"
EXAMPLES = sorted(file.stem for file in BUNDLES.glob("*.yaml"))
CHARMS = {"rbg-k8s": ROOT, "sglang-k8s": ROOT / "examples/sglang-k8s"}
PATIENCE = 120
"""Seconds until a group that is not ready counts as failed."""


class Demo:
    """One run of the demo on a cluster."""

    def __init__(self, stage: Stage, console: Console):
        self._stage, self._console = stage, console
        kubernetes = LightkubeKubernetes(
            stage.cluster.client(stage.namespace), stage.cluster.service_account_kubeconfig
        )
        self._model = Model(stage.namespace, kubernetes)
        self._said = ""

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        self._model.close()

    def run(self, example: str) -> bool:
        """Play it; True when every role became ready each time."""
        self._say("What is real and what is not", *self._stage.honest)
        self._head(f"juju deploy ./examples/bundles/{example}.yaml --trust")
        self._model.deploy_bundle(BUNDLES / f"{example}.yaml", CHARMS)
        self._hooks()
        self._head("juju run llama/leader show-manifest")
        shown = self._model.run("llama/leader", "show-manifest", {})
        self._console.print(Syntax(shown.results["manifest"], "yaml", background_color="default"))
        self._head("juju status, until every role is ready")
        up = self._wait()
        print_status(self._model.status(), self._console)
        well = [self._play(command) for command in self._commands()]
        return up and all(well)

    def _commands(self) -> Iterator[Command]:
        details = self._act("status-detail")["roles"]
        role = "decoder" if "decoder" in details else "engine"
        ends = [(r["requirer"], r["provider"]) for r in self._model.relation_status()]
        provider = next(provider for requirer, provider in ends if requirer == f"llama:{role}")
        app = provider.partition(":")[0]
        return commands(self._act, lambda env: self._model.config(app, env=env), role, app)

    def _act(self, action: str, **params: Any) -> dict[str, Any]:
        result = self._model.run("llama/leader", action, params)
        return result.results or {"failed": result.message}

    def _play(self, command: Command) -> bool:
        self._head(command.text)
        shown = command.play()
        if shown:
            self._console.print(yaml.safe_dump(shown, sort_keys=False), highlight=False)
        self._hooks()
        well = self._wait() and "failed" not in shown
        print_status(self._model.status(), self._console)
        return well

    def _hooks(self) -> None:
        while record := self._model.step():
            seconds = f"[dim]{record.duration:.1f} s[/dim]"
            self._console.print(f"  [cyan]{record.unit}[/cyan] {record.hook} {seconds}")
            if record.failure:
                self._console.print(f"[red]{record.failure}[/red]\n{record.stderr[-2000:]}")
            self._status()

    def _status(self) -> str:
        app = self._model.status()["applications"]["llama"]
        line = f"{app['status']}: {app['message']}"
        if line != self._said and app["message"]:
            self._console.print(f"    [bold]llama[/bold] {line}")
            self._said = line
        return app["status"]

    def _wait(self) -> bool:
        deadline = time.monotonic() + PATIENCE
        while self._status() != "active":
            if time.monotonic() > deadline:
                self._console.print(f"[red]not ready after {PATIENCE} s[/red]")
                return False
            time.sleep(1)
            self._model.emit("llama/0", "update-status")
            while self._model.step():
                self._status()
        return True

    def _head(self, text: str) -> None:
        self._console.rule(f"[bold]{text}", align="left")

    def _say(self, title: str, *sentences: str) -> None:
        text = "\n".join(f"- {sentence}" for sentence in sentences)
        self._console.print(Panel(text, title=title, title_align="left"))


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--cluster", choices=CLUSTERS, default="embedded")
    parser.add_argument("--example", choices=EXAMPLES, default="prefill-decode-router")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    with CLUSTERS[given.cluster]() as stage, Demo(stage, console) as demo:
        return 0 if demo.run(given.example) else 1


if __name__ == "__main__":
    sys.exit(main())
