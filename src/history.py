# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What this charm applied and why: RBG's revisions say what, never why. Plain data."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

KEPT = 20
"""Changes remembered: RBG keeps 5 revisions, and not every change makes one."""


@dataclass(frozen=True)
class Change:
    """One apply that changed the group.

    Attributes:
        at: when the API server took it, RFC 3339 in whole seconds.
        cause: whose wish it was, e.g. "relation engine (prefill)" or "action rollout-undo".
    """

    at: str
    cause: str


def parse(text: str) -> list[Change]:
    """Read the peer databag's value; [] from anything unreadable."""
    try:
        return [Change(str(at), str(cause)) for at, cause in json.loads(text or "[]")]
    except (ValueError, TypeError):
        return []


def add(text: str, change: Change) -> str:
    """The databag's value with one more change."""
    return json.dumps([astuple(c) for c in (*parse(text), change)][-KEPT:])


def causes(changes: Sequence[Change], created: Sequence[str]) -> list[str]:
    """Why each revision was made; "" where that is not remembered.

    RBG makes a revision right after the apply, and all times are the API server's, in whole
    seconds: the last change before a revision is its cause, or one in the same second.

    Args:
        changes: the history, the oldest first.
        created: creationTimestamp of each revision, the oldest first.
    """
    left, found = list(changes), list[str]()
    for when in created:
        before = [c for c in left if c.at < when]
        cause = before[-1] if before else next((c for c in left if c.at == when), None)
        found.append(cause.cause if cause else "")
        if cause:
            left = left[left.index(cause) + 1 :]
    return found
