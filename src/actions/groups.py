# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""`scale groups=N`: hold how many times the group is made, and go there."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import regroup
from actions.common import Refused, Standing, hold
from holds import Holds
from manifests import groupset

if TYPE_CHECKING:
    from charm import RbgCharm


def scale_groups(
    charm: "RbgCharm", now: Standing, groups: int | None, *, recreate: bool
) -> dict[str, Any]:
    """Hold a number of groups, or give it back to the config.

    Args:
        charm: the charm.
        now: what the action started from.
        groups: the number; None gives it back.
        recreate: whether the user allows that every pod is replaced.

    Raises:
        Refused: it would replace every pod, or something else is under way.
    """
    if groups is None and not now.holds.groups:
        raise Refused("no number of groups is held; say role=<name> to release a role")
    holds = replace(now.holds, groups=groups or 0, recreate=recreate)
    asked = replace(now.inputs, holds=holds)
    if regroup.fits(asked, now.live):
        hold(charm, now, replace(holds, recreate=False))
    else:
        _check(now, asked.groups, recreate=recreate)
        hold(charm, now, holds, now.names)
        charm.place_watcher()
    fault = charm.report.fault
    if fault and charm.report.replacing:
        raise Refused(f"begun, and goes on by itself: {fault}")
    return {
        "groups": str(asked.groups),
        "held": str(groups is not None).lower(),
        "status": charm.line.message,
    }


def _check(now: Standing, groups: int, *, recreate: bool) -> None:
    _check_nothing_else(now.holds)
    if not recreate:
        here, there = _many(groupset.count(now.live)), _many(groups)
        cost = f"going from {here} to {there} replaces every pod ({regroup.pods(now.live)})"
        raise Refused(f"{cost}; add allow-recreate=true to do it")


def _many(groups: int) -> str:
    return f"{groups} group{'' if groups == 1 else 's'}"


def _check_nothing_else(holds: Holds) -> None:
    """What is held for the pods that run cannot be taken to others."""
    if holds.pin:
        raise Refused(f"the group is held at revision {holds.pin}; run rollout-resume first")
    if holds.migrating:
        raise Refused(f"{', '.join(holds.migrating)} is being migrated; wait until that is over")
