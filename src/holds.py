# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What actions hold against relations and config, until a person releases it. Plain data.

It lives in the peer databag as one JSON value, and it is part of the inputs' fingerprint: a hold
that changes is rendered like a relation that changes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Step:
    """How far a canary was let go on, for one template only.

    Attributes:
        to: the partition held; ordinals below it keep the old template.
        of: digest of what the role charm said then; another template starts at its own partition.
    """

    to: int
    of: str


@dataclass(frozen=True)
class Holds:
    """Everything that is held.

    Attributes:
        replicas: role → replica count.
        paused: roles whose rollout is paused.
        steps: role → how far its canary was let go on.
        restarts: role → stamp of its last restart; part of its pods from then on.
        queued: role → stamp of a restart that waits for roles it starts after.
        pin: group revision that `rollout-undo` went back to; 0 where none is held.
        groups: number of groups; 0 where the config says it.
        recreate: whether the user allowed that every pod is replaced to get to `groups`.
        migrating: roles on their way to RoleInstanceSet, the next one first.
        emptied: whether the first of them has no pods any more, so that it may change.
    """

    replicas: Mapping[str, int] = field(default_factory=dict[str, int])
    paused: tuple[str, ...] = ()
    steps: Mapping[str, Step] = field(default_factory=dict[str, Step])
    restarts: Mapping[str, str] = field(default_factory=dict[str, str])
    queued: Mapping[str, str] = field(default_factory=dict[str, str])
    pin: int = 0
    groups: int = 0
    recreate: bool = False
    migrating: tuple[str, ...] = ()
    emptied: bool = False

    def __str__(self) -> str:
        """JSON of what is held; empty where nothing is."""
        said = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(said, sort_keys=True) if said else ""

    @classmethod
    def parse(cls, text: str) -> "Holds":
        """Read back what `str` wrote; nothing is held where it cannot be read."""
        try:
            known: dict[str, Any] = json.loads(text or "{}")
            if not known.keys() & cls.__dataclass_fields__.keys():
                known = {"replicas": known}  # as the charm's first release wrote it
            counts = known.pop("replicas", {}).items()
            steps = known.pop("steps", {}).items()
            lists = {k: tuple(known.pop(k, ())) for k in ("paused", "migrating")}
            return cls(
                replicas={role: n for role, n in counts if isinstance(n, int) and n >= 0},
                steps={role: Step(**step) for role, step in steps},
                **lists,
                **known,
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def scaled(self, role: str, replicas: int | None) -> "Holds":
        """A role held at a count; released with None."""
        return replace(self, replicas=_put(self.replicas, role, replicas))

    def pause(self, roles: Iterable[str]) -> "Holds":
        """These roles paused too."""
        return replace(self, paused=tuple(sorted({*self.paused, *roles})))

    def resume(self, roles: Iterable[str]) -> "Holds":
        """These roles no longer paused."""
        return replace(self, paused=tuple(r for r in self.paused if r not in set(roles)))

    def stepped(self, role: str, step: Step | None) -> "Holds":
        """A role's canary let go on to a step; back to the role charm's own with None."""
        return replace(self, steps=_put(self.steps, role, step))


def _put(old: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    rest = {k: v for k, v in old.items() if k != key}
    return rest if value is None else {**rest, key: value}
