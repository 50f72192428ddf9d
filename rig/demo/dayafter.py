# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What is played after the group is up: scale, restart, a change gone back on, release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Act = Callable[..., dict[str, Any]]


@dataclass
class Command:
    """One command of a user.

    Attributes:
        text: as it would be typed.
        play: carries it out and returns what it shows.
    """

    text: str
    play: Callable[[], dict[str, Any]]


def commands(act: Act, configure: Callable[[str], None], role: str, app: str) -> Iterator[Command]:
    """The commands in their order; each one after the group is well again.

    Args:
        act: runs an action with parameters.
        configure: sets `env` of the role's charm.
        role: the role they are about.
        app: its charm's application.
    """

    def run(action: str, **params: Any) -> Command:
        said = " ".join(f"{name}={str(value).lower()}" for name, value in params.items())
        text = f"juju run llama/leader {action} {said}".rstrip()
        return Command(text, lambda: act(action, **params))

    def change(value: str) -> Command:
        return Command(f'juju config {app} env="{value}"', lambda: configure(value) or {})

    count = int(act("status-detail")["roles"][role]["ready"].partition("/")[2]) + 2
    yield run("scale", role=role, replicas=count)
    yield run("scale", role=role, release=True)
    yield run("rollout-restart", role=role)
    yield change("NCCL_DEBUG=INFO")
    yield run("rollout-history")
    yield run("rollout-undo")
    yield change("NCCL_DEBUG=WARN")
    yield run("rollout-resume")
